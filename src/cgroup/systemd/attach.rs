//! Moving a process into the cgroup of a scope by systemd, if this process is not permitted to.

use alloc::string::String;
use core::slice;

use rustix::process::Pid;

use super::call::Systemd;
use super::name::scope_of;
use crate::error::Result;
use crate::os::dbus::Address;

/// A scope, and the address of the systemd instance that manages it.
#[derive(Clone, Debug)]
pub struct AttachVia {
    pub scope: String,
    pub address: Address,
}

impl AttachVia {
    /// Moves a process into the cgroup `path`, which is the scope's own or below it.
    #[cold]
    #[inline(never)]
    pub fn attach(&self, path: &str, pid: Pid) -> Result<()> {
        let below = path.strip_prefix(scope_of(path, &self.scope)).unwrap_or_default();
        Systemd::connect(slice::from_ref(&self.address), true)?.attach(&self.scope, below, pid)
    }
}
