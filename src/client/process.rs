//! A process that was started: waiting for its end.

use alloc::format;
use alloc::vec::Vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use rustix::io::{read, retry_on_intr};
use rustix::process::geteuid;

use super::exchange::Exchange;
use super::exit_status::ExitStatus;
use crate::container::outcome::Outcome;
use crate::error::{Error, On, Result};
use crate::os::descriptor::Descriptor;
use crate::sys::end::End;
use crate::sys::pidfd::exit_status;

/// A process in a container: the container init, or one that was started by
/// [`Container::exec`](crate::Container::exec). Dropping it does not end the process.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: Descriptor,
    /// The program that waits for the process, if the kernel does not keep exit statuses.
    waiting: Option<Exchange>,
}

impl Child {
    pub(super) fn new(pid: i32, pidfd: Descriptor, waiting: Option<Exchange>) -> Self {
        Child { pid, pidfd, waiting }
    }

    /// Its PID, in the pid namespace of the caller.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end of the process, and returns its exit status.
    ///
    /// Errors: [`Kind::Unsupported`](crate::Kind::Unsupported) if the process was not started by this handle, on a kernel
    /// before linux 6.15, which gives the status only to the parent of the process.
    pub fn wait(&self) -> Result<ExitStatus> {
        self.wait_for(None)?.ok_or_else(|| Error::invalid(format_args!("poll: no event")))
    }

    /// The exit status, if the process has ended. Does not wait.
    ///
    /// Errors: as [`Child::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.wait_for(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    fn wait_for(&self, limit: Option<&Timespec>) -> Result<Option<ExitStatus>> {
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)];
        if retry_on_intr(|| poll(&mut fds, limit)).on(format_args!("poll"))? == 0 {
            return Ok(None);
        }
        match &self.waiting {
            Some(exchange) => exchange.end(),
            None => self.kept_status(),
        }
        .map(Some)
    }

    /// The exit status that the kernel has kept: of a process that has been waited for (PIDFD_GET_INFO of ioctl_pidfd(2), linux
    /// 6.15), or of a zombie.
    fn kept_status(&self) -> Result<ExitStatus> {
        let kept = || exit_status(self.pidfd.get()).map(ExitStatus::of);
        // Between the first two its parent may wait for it.
        let found = kept().or_else(|| self.status_of_zombie()).or_else(kept);
        found.ok_or_else(|| {
            Error::unsupported(format_args!(
                "the exit status of process {}: this kernel gives it only to its parent (linux 6.15 keeps it)",
                self.pid
            ))
        })
    }

    /// The exit status of a process that has not been waited for (`exit_code` of proc_pid_stat(5)).
    fn status_of_zombie(&self) -> Option<ExitStatus> {
        let directory = format!("/proc/{}", self.pid);
        let owner = statat(CWD, directory.as_str(), AtFlags::empty()).ok()?.st_uid;
        // To others the kernel shows 0.
        if !geteuid().is_root() && geteuid().as_raw() != owner {
            return None;
        }
        let file = openat(CWD, format!("{directory}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut space = [0; 1024];
        let length = read(file.ok()?, &mut space).ok()?;
        let text = core::str::from_utf8(space.get(..length)?).ok()?;
        let mut fields = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace();
        (fields.next()? == "Z").then_some(())?;
        // Field 52, after the third.
        let status: i32 = fields.nth(48)?.parse().ok()?;
        // It was this process, if that is still a zombie.
        self.pidfd_names_zombie().then(|| ExitStatus::of(End::of_status(status)))
    }

    /// Whether the process has not been waited for: signal 0 can be sent to a zombie.
    fn pidfd_names_zombie(&self) -> bool {
        crate::sys::signal::send(self.pidfd.get(), 0).is_ok()
    }
}

/// A file descriptor that becomes readable when the process has ended, and [`Child::try_wait`] returns its status.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_ref().map_or(self.pidfd.as_fd(), Exchange::socket)
    }
}

impl Child {
    /// A pidfd of the process (pidfd_open(2)), with O_CLOEXEC.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The process that an operation has started. If its end is awaited, the program goes on.
pub(super) fn started(mut exchange: Exchange, is_awaited: bool, warnings: &mut Vec<Error>) -> Result<Child> {
    let outcome = exchange.result(warnings)?;
    exchange.acknowledge()?;
    match outcome {
        Outcome::Running(pid, pidfd) => Ok(Child::new(pid, pidfd, is_awaited.then_some(exchange))),
        Outcome::Ended(_) => Err(Error::invalid(format_args!("the process was not detached"))),
    }
}
