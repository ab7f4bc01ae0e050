//! Waiting for a process by its pidfd, which is readable when the process has ended (pidfd_open(2)).

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};

/// Whether it has ended; a zombie has.
pub fn has_ended(pidfd: &OwnedFd) -> bool {
    wait_for(pidfd, Some(0)).unwrap_or(false)
}

/// Waits until it has ended.
pub fn wait(pidfd: &OwnedFd) {
    let _ = wait_for(pidfd, None);
}

/// Waits until it has ended, but at most so many seconds: `false` when it has not.
pub fn wait_for(pidfd: &OwnedFd, seconds: Option<u32>) -> Result<bool> {
    wait_while(pidfd, pidfd, seconds)
}

/// Waits until it has ended, but at most so many seconds, and as long as `other` has not: `false` when it has not.
pub fn wait_while(other: &OwnedFd, pidfd: &OwnedFd, seconds: Option<u32>) -> Result<bool> {
    let limit = seconds.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    let mut fds = [pidfd, other].map(|fd| PollFd::new(fd, PollFlags::IN));
    loop {
        match poll(&mut fds, limit.as_ref()) {
            // Only a stop and SIGCONT interrupt it: no handler is ever installed (signal(7)).
            Err(Errno::INTR) => {}
            ready => return ready.map(|_| !fds[0].revents().is_empty()),
        }
    }
}
