//! Resource limits (getrlimit(2), prlimit(2); config.md, "POSIX process").

use alloc::vec::Vec;

use rustix::process::Pid;

use crate::error::{On, Result};
use crate::spec::process::{RLIMITS, Rlimit};
use crate::sys::rlimit::prlimit;

/// The limits to set.
#[derive(Debug, Default)]
pub struct Plan(Vec<Rlimit>);

impl Plan {
    /// Checked already, value by value.
    pub fn new(limits: &[Rlimit]) -> Self {
        Plan(limits.to_vec())
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the limits of this process, or of `pid`. Raising a hard limit takes CAP_SYS_RESOURCE in the
    /// first user namespace: the child of a new one has it not, so its parent does it.
    pub fn apply(&self, pid: Option<Pid>) -> Result<()> {
        for Rlimit { resource, soft, hard } in self.0.iter().copied() {
            let name = RLIMITS.get(resource as usize).copied().unwrap_or_default();
            prlimit(pid, resource, soft, hard)
                .on(format_args!("process.rlimits: prlimit {name} {soft} {hard}"))?;
        }
        Ok(())
    }
}
