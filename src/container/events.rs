//! `events`: resource statistics of a container at an interval, and OOM kills.

use alloc::string::String;
use core::ffi::CStr;
use core::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::statistics::{oom, statistics};
use super::store::directory::{Directory, Store};
use super::store::snapshot;
use super::store::status::State;
use crate::cgroup::Cgroup;
use crate::cgroup::stat::Files;
use crate::cgroup::stat::oom::{OomEvent, OomWatch};
use crate::error::{Error, Kind, On, Result};
use crate::host::Cgroups;
use crate::sys::signal::{Set, block_also};

/// Passes the statistics of a container to `write` as a line of JSON: once, or at every interval. With an interval it
/// also reports each OOM kill, and returns when the container init exits or the reader of the pipe `output` is gone.
/// Then it blocks SIGPIPE and SIGXFSZ, which stay blocked.
///
/// Errors: [`Kind::State`] if the container is not running or has no cgroup.
pub fn events(
    store: &Store,
    id: &CStr,
    interval: Option<Duration>,
    output: Option<BorrowedFd<'_>>,
    write: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let directory = store.open(id)?;
    let (process, cgroup) = running(&directory)?;
    let files = Files::open(&cgroup);
    let mut writer = EventWriter { id: directory.id(), files, line: String::new(), write };
    match interval {
        None => writer.statistics(),
        Some(interval) => {
            hold_sigpipe()?;
            writer.follow(&process, OomWatch::open(&cgroup), &timer(interval)?, output)
        }
    }
}

/// The container init and the cgroup of a container that runs and has a cgroup.
fn running(directory: &Directory) -> Result<(OwnedFd, Cgroup)> {
    let id = directory.id();
    let mut known = snapshot::of(directory)?;
    let process = match known.state {
        State::Stopped | State::Creating => None,
        _ => known.status.process.open()?,
    };
    let Some(process) = process else {
        if known.state != State::Creating {
            // The process has exited since the snapshot.
            known.state = State::Stopped;
        }
        return Err(known.not_running(directory));
    };
    match &known.status.cgroup {
        Some(path) => Ok((process, Cgroup::open(path, &Cgroups::read()?)?)),
        None => {
            let why = format_args!("container \"{id}\" has no cgroup, hence no statistics");
            Err(Error::new(Kind::State, why))
        }
    }
}

/// Writes the events of one container, one line of JSON each.
struct EventWriter<'a> {
    id: &'a str,
    files: Files,
    /// The buffer for a line, reused for each.
    line: String,
    write: &'a mut dyn FnMut(&str) -> Result<()>,
}

impl EventWriter<'_> {
    fn statistics(&mut self) -> Result<()> {
        statistics(&mut self.line, self.id, &mut self.files);
        (self.write)(&self.line)
    }

    fn follow(
        &mut self,
        process: &OwnedFd,
        mut listener: Option<OomWatch>,
        timer: &OwnedFd,
        output: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        loop {
            // An absent fd is replaced by one that is polled anyway.
            let nothing = (process.as_fd(), PollFlags::IN);
            let (oom_fd, oom_flags) = listener.as_ref().map_or(nothing, OomWatch::poll_fd);
            let mut fds = [
                PollFd::new(process, PollFlags::IN),
                PollFd::new(timer, PollFlags::IN),
                PollFd::from_borrowed_fd(oom_fd, oom_flags),
                // POLLERR, a pipe without reader, is always reported (poll(2)).
                PollFd::from_borrowed_fd(output.unwrap_or(process.as_fd()), PollFlags::empty()),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                polled => polled.on(format_args!("poll"))?,
            };
            let [ended, due, oom_due, unread] = fds.map(|fd| !fd.revents().is_empty());
            // The container init may have been OOM-killed, and its exit may be reported before the kill.
            if (oom_due || ended) && has_oom_kill(&mut listener) {
                oom(&mut self.line, self.id);
                (self.write)(&self.line)?;
            }
            if ended || unread {
                return Ok(());
            }
            if due {
                // The number of expirations is irrelevant.
                read(timer, &mut [0u8; 8]).on(format_args!("read timerfd"))?;
                self.statistics()?;
            }
        }
    }
}

/// Whether a process was OOM-killed. Drops the watch when the cgroup is removed.
fn has_oom_kill(listener: &mut Option<OomWatch>) -> bool {
    match listener.as_mut().map_or(OomEvent::None, OomWatch::read) {
        OomEvent::None => false,
        OomEvent::Kill => true,
        OomEvent::CgroupRemoved { after_a_kill } => {
            *listener = None;
            after_a_kill
        }
    }
}

/// Blocks SIGPIPE, and SIGXFSZ: writing to a pipe without reader fails with EPIPE, whether poll or write detects it first.
fn hold_sigpipe() -> Result<()> {
    block_also(Set::OF_WRITES).map(drop).on(format_args!("rt_sigprocmask"))
}

/// A timerfd that becomes readable at every interval.
fn timer(interval: Duration) -> Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)
        .on(format_args!("timerfd_create"))?;
    let interval = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
    let times = Itimerspec { it_interval: interval, it_value: interval };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).on(format_args!("timerfd_settime"))?;
    Ok(timer)
}
