//! Notification of OOM kills in a cgroup: v2 counts them in `memory.events`, which can be polled (cgroup-v2.rst); v1
//! increments an eventfd(2) that was registered with `cgroup.event_control` (cgroup-v1/memory.rst, "OOM Control").

use alloc::format;
use core::fmt;

use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{pread, read, write};

use super::files::value;
use crate::cgroup::Cgroup;

/// The files that report OOM kills.
pub enum OomWatch {
    V1 { event: OwnedFd, control: OwnedFd },
    V2 { events: OwnedFd, killed: u64 },
}

/// The result of reading an [`OomWatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomEvent {
    None,
    Kill,
    /// The cgroup has been removed; there will be no more events.
    CgroupRemoved {
        after_a_kill: bool,
    },
}

impl OomWatch {
    /// Starts watching a cgroup; `None` if it has no memory controller, or the caller may not register an eventfd.
    pub fn open(cgroup: &Cgroup) -> Option<Self> {
        let Cgroup { hierarchies, path, .. } = cgroup;
        let place = hierarchies.of("memory")?;
        let open = |name: &str, how| {
            let file = format!("{place}{path}/{name}");
            openat(&hierarchies.root, file.as_str(), how | OFlags::CLOEXEC, Mode::empty()).ok()
        };
        if Some(place) == hierarchies.v2 {
            let events = open("memory.events", OFlags::RDONLY)?;
            let killed = count(&events)?;
            return Some(OomWatch::V2 { events, killed });
        }
        let control = open("memory.oom_control", OFlags::RDONLY)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
        let arguments = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        write(open("cgroup.event_control", OFlags::WRONLY)?, arguments.as_bytes()).ok()?;
        Some(OomWatch::V1 { event, control })
    }

    /// The fd and the events to poll for.
    pub fn poll_fd(&self) -> (BorrowedFd<'_>, PollFlags) {
        match self {
            OomWatch::V1 { event, .. } => (event.as_fd(), PollFlags::IN),
            OomWatch::V2 { events, .. } => (events.as_fd(), PollFlags::PRI),
        }
    }

    /// Reads what was reported since the last call.
    pub fn read(&mut self) -> OomEvent {
        match self {
            OomWatch::V1 { event, control } => {
                let mut bytes = [0; 8];
                let count = read(&*event, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes));
                let is_there = pread(&*control, &mut [0u8; 64], 0).is_ok();
                match count {
                    // Removing the cgroup increments the eventfd as well.
                    _ if !is_there => OomEvent::CgroupRemoved { after_a_kill: count > 1 },
                    0 => OomEvent::None,
                    _ => OomEvent::Kill,
                }
            }
            OomWatch::V2 { events, killed } => {
                let Some(now) = count(events) else { return OomEvent::CgroupRemoved { after_a_kill: false } };
                // The file also changes for other events, such as a limit that was reached without an OOM kill.
                match core::mem::replace(killed, now) < now {
                    true => OomEvent::Kill,
                    false => OomEvent::None,
                }
            }
        }
    }
}

/// The memory limit and the peak of a cgroup with an OOM kill, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct OomReport {
    /// `None` if the cgroup has none; then the limit of a cgroup above was reached.
    limit: Option<i64>,
    /// `None` if the kernel does not report it (v2 before linux 5.19).
    peak: Option<i64>,
}

impl OomReport {
    /// Reads the report; `None` if there was no OOM kill, or the files cannot be read.
    pub fn of(cgroup: &Cgroup) -> Option<Self> {
        let [events, limit, peak] = match cgroup.hierarchies.v1_of("memory") {
            Some(_) => ["memory.oom_control", "memory.limit_in_bytes", "memory.max_usage_in_bytes"],
            None => ["memory.events", "memory.max", "memory.peak"],
        };
        let killed = value(&cgroup.text(events)?, "oom_kill");
        (killed > 0).then(|| OomReport { limit: cgroup.number(limit), peak: cgroup.number(peak) })
    }
}

impl fmt::Display for OomReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")?;
        if let Some(limit) = self.limit {
            write!(f, ": linux.resources.memory.limit {limit}")?;
        }
        self.peak.map_or(Ok(()), |peak| write!(f, ", peak {peak}"))
    }
}

/// The number of OOM kills in `memory.events`.
fn count(events: &OwnedFd) -> Option<u64> {
    let mut space = [0u8; 512];
    let count = pread(events, &mut space, 0).ok()?;
    let text = core::str::from_utf8(space.get(..count)?).ok()?;
    Some(value(text, "oom_kill"))
}
