//! Open descriptors at execve: 0, 1, 2, those asked for, and no other (CVE-2016-9962, CVE-2024-21626).

use crate::error::{On, Result};
use crate::sys::fd::close_on_exec_from;

/// How many descriptors after the standard three the container gets (`--preserve-fds`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub preserved: u32,
}

impl Plan {
    /// Marks all others close-on-exec, also those that whoever started mote left open.
    pub fn apply(self) -> Result<()> {
        let first = 3u32.saturating_add(self.preserved);
        close_on_exec_from(first).on(format_args!("close_range {first}"))
    }
}
