//! Open descriptors at execve: 0, 1, 2, those asked for, and no other (CVE-2016-9962, CVE-2024-21626).

use rustix::fd::RawFd;

use crate::error::{On, Result};
use crate::sys::fd::close_all_from;

/// How many descriptors after the standard three the container gets (`--preserve-fds`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub preserved: u32,
}

impl Plan {
    /// Closes all others, also those that whoever started mote left open, but for mote's own lines to the
    /// outside, which execve closes.
    pub fn apply(self, lines: &mut [RawFd]) -> Result<()> {
        let first = RawFd::try_from(self.preserved).unwrap_or(RawFd::MAX - 3) + 3;
        close_all_from(first, lines).on(format_args!("close_range {first}"))
    }
}
