//! cgroup.events of v2, whose changes the kernel reports to poll(2) (cgroup-v2.rst, "[Un]populated Notification").

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno, pread};

/// Waits until a cgroup.events file has a line, up to `seconds` after each change; `false` if it does not get it.
#[cold]
#[inline(never)]
pub fn wait_for(events: &OwnedFd, line: &[u8], seconds: u32) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    loop {
        let mut space = [0u8; 256];
        let count = pread(events, &mut space[..], 0)?;
        let text = space.get(..count).unwrap_or_default();
        if text.split(|byte| *byte == b'\n').any(|one| one == line) {
            return Ok(true);
        }
        match poll(&mut [PollFd::new(events, PollFlags::PRI)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
