//! Resource limits (getrlimit(2), prlimit(2); config.md, "POSIX process").

use alloc::vec::Vec;

use rustix::io;

use crate::caller::restore_open_files;
use crate::config::process::{RLIMITS, Rlimit};
use crate::error::{On, Result};
use crate::sys::rlimit::{NOFILE, limit, set_limit};

/// The limits to set.
#[derive(Debug, Default)]
pub struct Plan(Vec<Rlimit>);

impl Plan {
    /// Checked already, value by value.
    pub fn new(limits: &[Rlimit]) -> Self {
        Plan(limits.to_vec())
    }

    /// Raises the limits of this process as far as they are to be above what they are, and lowers none; its child inherits
    /// them. A higher hard limit takes CAP_SYS_RESOURCE in the first user namespace, which the child may have left.
    pub fn apply_to_parent(&self) -> Result<RlimitGuard> {
        let mut guard = RlimitGuard(Vec::new());
        for wanted in &self.0 {
            named(guard.raise(wanted), wanted)?;
        }
        Ok(guard)
    }

    /// Sets them, which takes no rights in a child of a process with [`Plan::apply_to_parent`] done. Late: they bind mote as well, which
    /// has files to open and to write. That of open files is the caller's again where it is not among them.
    pub fn apply(&self) -> Result<()> {
        for wanted in &self.0 {
            named(set_limit(wanted.resource, wanted.soft, wanted.hard), wanted)?;
        }
        match self.0.iter().any(|wanted| wanted.resource == NOFILE) {
            true => Ok(()),
            false => restore_open_files().on(format_args!("prlimit RLIMIT_NOFILE")),
        }
    }
}

/// Restores the raised limits of this process when dropped.
pub struct RlimitGuard(Vec<Rlimit>);

impl RlimitGuard {
    fn raise(&mut self, wanted: &Rlimit) -> io::Result<()> {
        let (soft, hard) = limit(wanted.resource)?;
        let raised = (soft.max(wanted.soft), hard.max(wanted.hard));
        if raised != (soft, hard) {
            set_limit(wanted.resource, raised.0, raised.1)?;
            self.0.push(Rlimit { resource: wanted.resource, soft, hard });
        }
        Ok(())
    }
}

impl Drop for RlimitGuard {
    fn drop(&mut self) {
        for before in &self.0 {
            // Lowering is allowed to everybody.
            let _ = set_limit(before.resource, before.soft, before.hard);
        }
    }
}

fn named(done: io::Result<()>, Rlimit { resource, soft, hard }: &Rlimit) -> Result<()> {
    let name = RLIMITS.get(*resource as usize).copied().unwrap_or_default();
    done.on(format_args!("process.rlimits: prlimit {name} {soft} {hard}"))
}
