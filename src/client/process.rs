//! A process that was started: waiting for its end.

use alloc::format;
use alloc::vec::Vec;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::{read, retry_on_intr};

use super::exchange::Exchange;
use super::exit_status::ExitStatus;
use crate::container::outcome::Outcome;
use crate::error::{Error, On, Result};
use crate::os::descriptor::Descriptor;
use crate::sys::end::End;
use crate::sys::pidfd::exit_status;
use crate::sys::signal::send;

/// A process in a container: the container init, or one that was started by
/// [`Container::exec`](crate::Container::exec). Dropping it does not end the process.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: Descriptor,
    /// The program that waits for the process, if the kernel does not keep exit statuses.
    waiting: Option<Exchange>,
    /// Whether the kernel keeps the exit status of a process that has been waited for.
    keeps_status: bool,
}

impl Child {
    pub(super) fn new(pid: i32, pidfd: Descriptor, waiting: Option<Exchange>, keeps_status: bool) -> Self {
        Child { pid, pidfd, waiting, keeps_status }
    }

    /// Its PID, in the pid namespace of the caller.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end of the process, and returns its exit status.
    ///
    /// Errors: [`Kind::Unsupported`](crate::Kind::Unsupported) if the process was not started by this handle, on a kernel
    /// before linux 6.15, which gives the status only to the parent of the process.
    ///
    /// If this program may not read it from procfs, it waits until the parent of the process has waited for it.
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
        if !is_ready(self.as_fd(), PollFlags::IN, limit)? {
            return Ok(None);
        }
        match &self.waiting {
            Some(exchange) => exchange.end().map(Some),
            None => self.kept_status(limit),
        }
    }

    /// The exit status that the kernel has kept: of a process that has been waited for (PIDFD_GET_INFO of ioctl_pidfd(2), linux
    /// 6.15), or of a zombie.
    fn kept_status(&self, limit: Option<&Timespec>) -> Result<Option<ExitStatus>> {
        let kept = || exit_status(self.pidfd.get()).map(ExitStatus::of);
        // Between the two its parent may wait for it.
        if let Some(status) = kept().or_else(|| self.status_of_zombie()).or_else(kept) {
            return Ok(Some(status));
        }
        if !self.keeps_status {
            return Err(Error::unsupported(format_args!(
                "the exit status of process {}: this kernel gives it only to its parent (linux 6.15 keeps it)",
                self.pid
            )));
        }
        // Until its parent waits for it: the kernel reports a hangup then.
        match is_ready(self.pidfd.as_fd(), PollFlags::empty(), limit)? {
            true => Ok(kept()),
            false => Ok(None),
        }
    }

    /// The exit status of a process that has not been waited for (`exit_code` of proc_pid_stat(5)).
    fn status_of_zombie(&self) -> Option<ExitStatus> {
        // Who may not read this link gets 0 for the exit code.
        readlinkat(CWD, format!("/proc/{}/ns/user", self.pid), Vec::new()).ok()?;
        let path = format!("/proc/{}/stat", self.pid);
        let file = openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut space = [0; 1024];
        let length = read(file.ok()?, &mut space).ok()?;
        let text = core::str::from_utf8(space.get(..length)?).ok()?;
        let mut fields = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace();
        (fields.next()? == "Z").then_some(())?;
        // Field 52, after the third.
        let status: i32 = fields.nth(48)?.parse().ok()?;
        // It was this process, if that is still a zombie: signal 0 can be sent to it.
        send(self.pidfd.get(), 0).ok().map(|()| ExitStatus::of(End::of_status(status)))
    }
}

/// Waits for an event of a file descriptor; `false` after `limit`. A hangup is always an event (poll(2)).
fn is_ready(fd: BorrowedFd<'_>, events: PollFlags, limit: Option<&Timespec>) -> Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    Ok(retry_on_intr(|| poll(&mut fds, limit)).on(format_args!("poll"))? > 0)
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
    let (pid, pidfd) = received(&mut exchange, warnings)?;
    Ok(Child::new(pid, pidfd, is_awaited.then_some(exchange), !is_awaited))
}

/// Receives the PID and the pidfd of the process that an operation has started, and confirms that.
pub(super) fn received(exchange: &mut Exchange, warnings: &mut Vec<Error>) -> Result<(i32, Descriptor)> {
    let outcome = exchange.result(warnings)?;
    exchange.acknowledge()?;
    match outcome {
        Outcome::Running(pid, pidfd) => Ok((pid, pidfd)),
        Outcome::Ended(_) => Err(Error::invalid(format_args!("the process was not detached"))),
    }
}
