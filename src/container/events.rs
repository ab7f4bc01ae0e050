//! `events`: what a container uses, again and again, and when one of its processes is killed for want of memory.

use alloc::string::String;
use core::ffi::CStr;
use core::time::Duration;

use linux_raw_sys::general as sys;
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
use crate::sys::signal::{Set, block};

/// Says what a container uses, as a line of JSON: once, or whenever an interval is over. Then it says at once too that
/// the kernel has killed for want of memory, and ends with the container's first process, or when nobody reads
/// `output` any more.
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

/// The first process and the cgroup of a container that runs and has one.
fn running(directory: &Directory) -> Result<(OwnedFd, Cgroup)> {
    let id = directory.id();
    let mut known = snapshot::of(directory)?;
    let process = match known.state {
        State::Stopped | State::Creating => None,
        _ => known.status.process.open()?,
    };
    let Some(process) = process else {
        if known.state != State::Creating {
            // It may have ended meanwhile.
            known.state = State::Stopped;
        }
        return Err(known.not_running(directory));
    };
    match &known.status.cgroup {
        Some(path) => Ok((process, Cgroup::open(path, &Cgroups::read()?)?)),
        None => {
            let why = format_args!("container \"{id}\" has no cgroup: nothing counts what it uses");
            Err(Error::new(Kind::State, why))
        }
    }
}

/// Writes the events of one container, a line of JSON each.
struct EventWriter<'a> {
    id: &'a str,
    files: Files,
    /// The line that was made last: the memory of all of them.
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
            // In the place of one that is not there stands one that is there already.
            let nothing = (process.as_fd(), PollFlags::IN);
            let (oom_fd, oom_flags) = listener.as_ref().map_or(nothing, OomWatch::poll_fd);
            let mut fds = [
                PollFd::new(process, PollFlags::IN),
                PollFd::new(timer, PollFlags::IN),
                PollFd::from_borrowed_fd(oom_fd, oom_flags),
                // That a pipe has no reader is told unasked.
                PollFd::from_borrowed_fd(output.unwrap_or(process.as_fd()), PollFlags::empty()),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                polled => polled.on(format_args!("poll"))?,
            };
            let [ended, due, oom_due, unread] = fds.map(|fd| !fd.revents().is_empty());
            // Its last process may have been killed so, and the word of that may come later than its end.
            if (oom_due || ended) && has_oom_kill(&mut listener) {
                oom(&mut self.line, self.id);
                (self.write)(&self.line)?;
            }
            if ended || unread {
                return Ok(());
            }
            if due {
                // How many intervals are over makes no difference.
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

/// Writing to who has gone is an error (EPIPE) instead of a death: whichever is noticed first, the end is the same.
fn hold_sigpipe() -> Result<()> {
    const SIGPIPE: Set = Set(1 << (sys::SIGPIPE - 1));
    let held = block(SIGPIPE).and_then(|before| block(Set(before.0 | SIGPIPE.0)));
    held.map(drop).on(format_args!("rt_sigprocmask"))
}

/// A descriptor that is readable when an interval is over, and another one.
fn timer(interval: Duration) -> Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)
        .on(format_args!("timerfd_create"))?;
    let interval = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
    let times = Itimerspec { it_interval: interval, it_value: interval };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).on(format_args!("timerfd_settime"))?;
    Ok(timer)
}
