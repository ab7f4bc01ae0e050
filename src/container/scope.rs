//! The systemd scope of an existing container, as recorded in its status file.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;
use core::slice;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, access, inotify};
use rustix::io::Errno;

use super::store::directory::Directory;
use super::store::status::Status;
use crate::cgroup::Cgroup;
use crate::cgroup::fs::current::{may_move, own_cgroup};
use crate::cgroup::systemd::attach::AttachVia;
use crate::cgroup::systemd::call::Systemd;
use crate::cgroup::systemd::learned::{self, Cache};
use crate::cgroup::systemd::name::scope_of;
use crate::error::{Result, Show};
use crate::host::{self, Cgroups};
use crate::os::dbus::Address;

/// The cache of unsupported properties, beside the state directories of all containers.
const UNSUPPORTED: &CStr = c"../.systemd-unknown";

impl Cache for Directory {
    fn read(&self) -> Option<Vec<u8>> {
        Directory::read(self, UNSUPPORTED).ok().flatten()
    }

    fn write(&self, text: &[u8]) {
        let _ = self.replace(UNSUPPORTED, text);
    }
}

/// Connects to the systemd that created a container's scope. Returns the scope's name and the connection; `None` for a
/// container without a scope.
#[cold]
#[inline(never)]
pub fn connect<'s>(directory: &Directory, status: &'s Status) -> Option<(&'s str, Result<Systemd>)> {
    let scope = status.scope.as_deref()?;
    let address = address(status);
    Some((scope, learned::connect(slice::from_ref(&address), host::is_ordinary(), directory)))
}

/// Stops the scope of a container whose cgroup is removed.
#[cold]
#[inline(never)]
pub fn stop(directory: &Directory, status: &Status, layout: &Cgroups) -> Result<()> {
    // A `create` that was killed may not have created the scope: one of this name may belong to another container.
    let is_own = status.process.pid != 0;
    if is_own && matches!(layout, Cgroups::Unified) && is_gone(status) {
        return Ok(());
    }
    let Some((scope, systemd)) = connect(directory, status) else { return Ok(()) };
    // systemd removes a scope with its last process. If systemd (of a user) cannot be reached, its scopes are gone too.
    if let Ok(mut systemd) = systemd {
        if is_own || systemd.description(scope)? == Description(directory).to_string() {
            systemd.stop(scope)?;
        } else {
            return Ok(());
        }
    }
    // In v1 hierarchies that systemd does not manage, mote created the scope's cgroup.
    let path = status.cgroup.as_deref().unwrap_or_default();
    match scope_of(path, scope) {
        "" => Ok(()),
        own => Cgroup::open(own, layout)?.remove_unentered(),
    }
}

/// Whether systemd has removed the scope, so that it need not be stopped. When a scope is empty, systemd removes its
/// cgroup, then the unit and, before the name can be reused, the unit file. Waits for that up to `TIMEOUT`.
fn is_gone(status: &Status) -> bool {
    const UNITS: &str = "/run/systemd/transient";
    /// Milliseconds. The removal takes a few, but never happens while a process is left in the scope.
    const TIMEOUT: i64 = 200;
    let (Some(scope), Some(path)) = (&status.scope, &status.cgroup) else { return false };
    let exists = |path: &str| access(path, Access::EXISTS).is_ok();
    // A user's systemd has its unit files elsewhere.
    if host::is_ordinary() || !exists(UNITS) {
        return false;
    }
    let Ok(inotify) = inotify::init(inotify::CreateFlags::CLOEXEC) else { return false };
    let file = format!("{UNITS}/{scope}");
    let unlinked = match inotify::add_watch(&inotify, file.as_str(), inotify::WatchFlags::DELETE_SELF) {
        Ok(_) => {
            let timeout = Timespec { tv_sec: 0, tv_nsec: TIMEOUT * 1_000_000 };
            poll(&mut [PollFd::new(&inotify, PollFlags::IN)], Some(&timeout)) == Ok(1)
        }
        Err(errno) => errno == Errno::NOENT,
    };
    unlinked && !exists(&format!("{}{}", Show(host::CGROUP_ROOT), scope_of(path, scope)))
}

/// The description of a container's scope, which identifies the scope as this container's.
pub struct Description<'d>(pub &'d Directory);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {}", self.0.path())
    }
}

/// The scope and systemd through which an exec process is moved into the container's cgroup; `None` if mote may move it
/// itself.
#[cold]
#[inline(never)]
pub fn attach_via(status: &Status) -> Option<AttachVia> {
    let (scope, path) = status.scope.as_deref().zip(status.cgroup.as_deref())?;
    if !host::is_ordinary() || own_cgroup().is_ok_and(|own| may_move(".", &own, path)) {
        return None;
    }
    Some(AttachVia { scope: scope.into(), address: address(status) })
}

fn address(status: &Status) -> Address {
    Address::read(status.bus.as_deref().unwrap_or_default())
}
