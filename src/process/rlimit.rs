//! Resource limits (getrlimit(2), prlimit(2); config.md, "POSIX process").

use alloc::vec::Vec;

use rustix::io::{self, Errno};

use super::calls::OnFailure;
use crate::caller::{open_files, restore_open_files};
use crate::config::process::{RLIMITS, Rlimit};
use crate::error::{Error, On, Result};
use crate::sys::call_list::CallList;
use crate::sys::rlimit::{NOFILE, limit, set_limit, set_limit_call};

/// The limits to set.
#[derive(Debug, Default)]
pub struct Plan(Vec<Rlimit>);

impl Plan {
    /// The plan for `process.rlimits`, whose values the decoder has checked.
    pub fn new(limits: &[Rlimit]) -> Self {
        Plan(limits.to_vec())
    }

    /// Adds the calls of [`Plan::apply`] to a list.
    pub fn add_to(&self, list: &mut CallList, fail: &mut OnFailure<'_>) {
        let mut add = |resource, soft, hard, error| {
            let failure = fail(list, error);
            let call = set_limit_call(list, resource, soft, hard).or(failure);
            list.add(call);
        };
        for wanted in &self.0 {
            add(wanted.resource, wanted.soft, wanted.hard, failed(Errno::INVAL, wanted));
        }
        if let Some((soft, hard)) = open_files().filter(|_| !self.has_open_files()) {
            add(NOFILE, soft, hard, Error::system(Errno::INVAL, format_args!("prlimit RLIMIT_NOFILE")));
        }
    }

    fn has_open_files(&self) -> bool {
        self.0.iter().any(|wanted| wanted.resource == NOFILE)
    }

    /// Raises the limits of this process that are below those to set, and lowers none; its child inherits them.
    /// Returns a guard that restores them. Raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace,
    /// which the child may have left.
    pub fn apply_to_parent(&self) -> Result<RlimitGuard> {
        let mut guard = RlimitGuard(Vec::new());
        for wanted in &self.0 {
            named(guard.raise(wanted), wanted)?;
        }
        Ok(guard)
    }

    /// Sets the limits of this process, which needs no privilege after [`Plan::apply_to_parent`] in its parent. To be
    /// called late: they also apply to files that mote still has to open and write. RLIMIT_NOFILE, if it is not among
    /// them, is reset to that of mote's caller.
    pub fn apply(&self) -> Result<()> {
        for wanted in &self.0 {
            named(set_limit(wanted.resource, wanted.soft, wanted.hard), wanted)?;
        }
        match self.has_open_files() {
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
            // Lowering needs no privilege.
            let _ = set_limit(before.resource, before.soft, before.hard);
        }
    }
}

/// Adds the call and its arguments to an error.
fn named(done: io::Result<()>, limit: &Rlimit) -> Result<()> {
    done.map_err(|errno| failed(errno, limit))
}

#[cold]
fn failed(errno: Errno, Rlimit { resource, soft, hard }: &Rlimit) -> Error {
    let name = RLIMITS.get(*resource as usize).copied().unwrap_or_default();
    Error::system(errno, format_args!("process.rlimits: prlimit {name} {soft} {hard}"))
}
