//! Waiting for a process by its pidfd, which is readable when the process has ended (pidfd_open(2)).

use linux_raw_sys::general::__WALL;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::end::End;

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

/// Waits for the end of a child of `clone::spawn`, and reaps it. `None`: there is no such child (any more).
pub fn reap(child: &OwnedFd) -> Option<End> {
    end_of(ask(child, ALL)?)
}

/// The same, but the child is left to be waited for again.
pub fn wait_end(child: &OwnedFd) -> Option<End> {
    end_of(ask(child, ALL | WaitIdOptions::NOWAIT)?)
}

/// Whether a child of `clone::spawn` has executed a program. It may have ended since.
///
/// It is born without an exit signal, which execve sets to SIGCHLD (execve(2)) past the point where it could still
/// return, and before it closes descriptors; and only children with that signal are waited for without `__WALL`
/// (wait(2)). So whoever sees the end of a line to the child knows from here whether execve or death has closed it.
pub fn has_executed(child: &OwnedFd) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // What is not there at all was reaped by the kernel, since SIGCHLD is ignored: that signal it then had.
    ask(child, look).is_some() || ask(child, look | ALL).is_none()
}

/// Children whatever their exit signal is.
const ALL: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::from_bits_retain(__WALL));

/// `None`: there is no such child; `Some(None)`: it has not ended.
fn ask(child: &OwnedFd, options: WaitIdOptions) -> Option<Option<WaitIdStatus>> {
    waitid(WaitId::PidFd(child.as_fd()), options).ok()
}

fn end_of(status: Option<WaitIdStatus>) -> Option<End> {
    let status = status?;
    let killed = |signal| End::Killed { signal, dumped: status.dumped() };
    status.terminating_signal().map(killed).or_else(|| status.exit_status().map(End::Exited))
}
