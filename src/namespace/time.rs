//! Clock offsets of a time namespace (time_namespaces(7); config-linux.md, "Offset for Time Namespace").

use alloc::format;
use alloc::string::String;

use linux_raw_sys::general::CLONE_NEWTIME;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::write;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::config::linux::TimeOffset;
use crate::error::{Error, On, Result};
use crate::sys::clone::unshare;

/// The text that is written to `/proc/self/timens_offsets`; empty if there are no offsets.
#[derive(Debug, Default)]
pub struct Plan {
    offsets: String,
}

impl Plan {
    /// Plans the offsets. Errors: there is no new time namespace; the offsets of a joined one cannot be changed.
    pub fn new(offsets: &[TimeOffset], fresh: bool) -> Result<Self> {
        if !offsets.is_empty() && !fresh {
            return Err(Error::invalid(format_args!("linux.timeOffsets: needs a new time namespace")));
        }
        let line = |o: &TimeOffset| format!("{} {} {}\n", o.clock, o.secs, o.nanosecs);
        Ok(Plan { offsets: offsets.iter().map(line).collect() })
    }

    /// Whether there are no offsets.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Creates the time namespace, writes its offsets and joins it: offsets can be written only while no process is in
    /// it. Called before the child changes its IDs: after that /proc/self belongs to root.
    pub fn apply(&self, proc: &OwnedFd) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        unshare(CLONE_NEWTIME).on(format_args!("unshare CLONE_NEWTIME"))?;
        let offsets = openat(proc, c"self/timens_offsets", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat /proc/self/timens_offsets"))?;
        write(&offsets, self.offsets.as_bytes())
            .on(format_args!("linux.timeOffsets: write timens_offsets"))?;
        let path = c"self/ns/time_for_children";
        let namespace = openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat /proc/self/ns/time_for_children"))?;
        move_into_link_name_space(rustix::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Time))
            .on(format_args!("setns time_for_children"))
    }
}
