//! Waits for a process by its pidfd, which is readable once the process has ended (pidfd_open(2)).

use linux_raw_sys::general::{__NR_ioctl, __WALL};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::end::End;

/// Whether the process has ended; a zombie has.
pub fn has_ended(pidfd: &OwnedFd) -> bool {
    wait_for(pidfd, Some(0)).unwrap_or(false)
}

/// Waits until the process has ended, at most `seconds`; `false` if it has not ended by then.
pub fn wait_for(pidfd: &OwnedFd, seconds: Option<u32>) -> Result<bool> {
    wait_while(None, pidfd, seconds)
}

/// Waits until the process has ended, at most `seconds`, or until `other` is readable: another process has ended, or a socket has
/// a message. `false` if the process itself has not ended.
pub fn wait_while(other: Option<&OwnedFd>, pidfd: &OwnedFd, seconds: Option<u32>) -> Result<bool> {
    let limit = seconds.map(|seconds| Timespec { tv_sec: seconds.into(), tv_nsec: 0 });
    let mut fds = [pidfd, other.unwrap_or(pidfd)].map(|fd| PollFd::new(fd, PollFlags::IN));
    // No fd twice: the kernel looks at one after the other, and the process may end in between.
    let count = 1 + usize::from(other.is_some());
    let fds = fds.get_mut(..count).unwrap_or_default();
    loop {
        match poll(fds, limit.as_ref()) {
            // Only a stop and SIGCONT interrupt poll: no signal handler is ever installed (signal(7)).
            Err(Errno::INTR) => {}
            ready => return ready.map(|_| fds.first().is_some_and(|fd| !fd.revents().is_empty())),
        }
    }
}

/// Waits until a child of `clone::spawn` has ended, and reaps it. `None` if there is no such child, or it has been
/// reaped.
pub fn reap(child: &OwnedFd) -> Option<End> {
    end_of(wait_id(child, ALL)?)
}

/// Waits until a child of `clone::spawn` has ended, and does not reap it (WNOWAIT). `None` as for [`reap`].
pub fn wait_end(child: &OwnedFd) -> Option<End> {
    end_of(wait_id(child, ALL | WaitIdOptions::NOWAIT)?)
}

/// Whether a child of `clone::spawn` has executed a program. It may have ended since.
///
/// It is created without an exit signal. execve(2) sets that to SIGCHLD after the point from which it cannot fail any
/// more, and before it closes file descriptors; and without `__WALL` only children with that signal are waited for
/// (wait(2)). So if the channel to the child has reached end of file, the result is whether execve or the end of
/// the child has closed it.
pub fn has_executed(child: &OwnedFd) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // If there is no such child, the kernel has reaped it because SIGCHLD is ignored; so SIGCHLD was its exit signal.
    wait_id(child, look).is_some() || wait_id(child, look | ALL).is_none()
}

/// Children with any exit signal.
const ALL: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::from_bits_retain(__WALL));

/// Calls waitid(2). `None`: there is no such child; `Some(None)`: it has not ended.
fn wait_id(child: &OwnedFd, options: WaitIdOptions) -> Option<Option<WaitIdStatus>> {
    // A program that links the library may have signal handlers.
    retry_on_intr(|| waitid(WaitId::PidFd(child.as_fd()), options)).ok()
}

/// `struct pidfd_info` of include/uapi/linux/pidfd.h, in its first version.
#[repr(C)]
#[derive(Default)]
struct Information {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// A request of ioctl(2).
const PIDFD_GET_INFO: usize = rustix::ioctl::opcode::read_write::<Information>(0xff, 11) as usize;
/// Flag: the exit code is requested, or present.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How a process has ended that its parent has waited for; `None` if it has not been waited for, or if the kernel is older than
/// linux 6.15.
pub(crate) fn exit_status(pidfd: &OwnedFd) -> Option<End> {
    let mut information = Information { mask: PIDFD_INFO_EXIT, ..Information::default() };
    let (fd, place) = (pidfd.as_raw_fd() as usize, &raw mut information as usize);
    // SAFETY: the structure has the size that is part of the request, and outlives the call.
    super::check(unsafe { super::raw::syscall3(__NR_ioctl as usize, fd, PIDFD_GET_INFO, place) }).ok()?;
    (information.mask & PIDFD_INFO_EXIT != 0).then(|| End::of_status(information.exit_code))
}

fn end_of(status: Option<WaitIdStatus>) -> Option<End> {
    let status = status?;
    let killed = |signal| End::Killed { signal, dumped: status.dumped() };
    status.terminating_signal().map(killed).or_else(|| status.exit_status().map(End::Exited))
}
