//! Who makes a container's cgroup: mote, or systemd, which then keeps it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, AtFlags, CWD, access, getxattr, inotify, statat};
use rustix::io::Errno;

use super::status::Status;
use super::store::Directory;
use crate::cgroup::own::{cgroup_of, may_move};
use crate::cgroup::systemd::call::Systemd;
use crate::cgroup::systemd::name::scope_of;
use crate::cgroup::systemd::{AttachVia, Place};
use crate::cgroup::{self, Cgroup};
use crate::dbus::{Address, parse};
use crate::error::{At, Error, Result, Show};
use crate::host::{self, Cgroups};
use crate::spec::Config;

/// Whom the command line names.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Cgroupfs,
    /// Mote, below the cgroup that whoever runs it was given.
    Delegated,
    Systemd(Buses<'a>),
    Nobody,
}

/// Where the environment says that buses are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buses<'a> {
    /// DBUS_SESSION_BUS_ADDRESS
    pub session: Option<&'a CStr>,
    /// XDG_RUNTIME_DIR
    pub runtime: Option<&'a CStr>,
    /// DBUS_SYSTEM_BUS_ADDRESS
    pub system: Option<&'a CStr>,
}

impl Buses<'_> {
    /// Where systemd is looked for: root's at its own socket, which needs no bus; a user's, then that of the system.
    fn addresses(&self, ordinary: bool) -> Vec<Address> {
        let mut list = Vec::new();
        if ordinary {
            list.extend(self.session.into_iter().flat_map(|text| parse(text.to_bytes())));
            if let Some(runtime) = self.runtime.map(CStr::to_bytes).filter(|path| path.starts_with(b"/")) {
                list.push(Address::path(&[runtime, b"/bus"].concat(), true));
                list.push(Address::path(&[runtime, b"/systemd/private"].concat(), false));
            }
        } else {
            list.push(Address::path(b"/run/systemd/private", false));
        }
        match self.system {
            Some(text) => list.extend(parse(text.to_bytes())),
            None => list.push(Address::path(b"/run/dbus/system_bus_socket", true)),
        }
        list
    }
}

/// Who does it.
pub enum Keeper {
    Mote,
    Below(String),
    Systemd {
        systemd: Box<Systemd>,
        /// This process is not among its cgroups.
        outside: bool,
    },
    Nobody,
}

impl Keeper {
    /// Finds who was asked for.
    pub fn find(
        asked: Asked<'_>,
        config: &Config<'_>,
        layout: &Cgroups,
        directory: &Directory,
    ) -> Result<Self> {
        match asked {
            Asked::Cgroupfs if config.linux.cgroups_path.is_none() => {
                Ok(cgroup::own::parent(layout).map_or(Keeper::Mote, Keeper::Below))
            }
            Asked::Cgroupfs => Ok(Keeper::Mote),
            Asked::Nobody => Ok(Keeper::Nobody),
            Asked::Delegated => delegated().map(Keeper::Below),
            Asked::Systemd(buses) => connect(buses, directory),
        }
    }

    /// The same, as a plan sees it.
    pub fn manager(&self) -> cgroup::Manager<'_> {
        match self {
            Keeper::Mote => cgroup::Manager::Mote,
            Keeper::Nobody => cgroup::Manager::Nobody,
            Keeper::Below(path) => cgroup::Manager::Below(path),
            Keeper::Systemd { systemd, outside } => {
                cgroup::Manager::Systemd(Place { root: &systemd.root, user: systemd.is_user, outside: *outside })
            }
        }
    }

    /// What to ask again when the container is deleted.
    pub fn address(&self) -> Option<String> {
        match self {
            Keeper::Systemd { systemd, .. } => Some(systemd.address_text()),
            _ => None,
        }
    }

    /// Makes the cgroup of a plan. When that fails nothing is left.
    pub fn create(
        &mut self,
        plan: &cgroup::Plan,
        directory: &Directory,
        warnings: &mut Vec<Error>,
    ) -> Result<Option<Cgroup>> {
        match (self, &plan.scope) {
            (Keeper::Systemd { systemd, .. }, Some(scope)) => {
                let made = plan.create_scope(scope, systemd, &about(directory)).map(Some);
                remember(systemd, directory);
                made
            }
            _ => plan.create(warnings),
        }
    }

    /// Takes it away again.
    #[cold]
    #[inline(never)]
    pub fn remove(&mut self, plan: &cgroup::Plan, cgroup: Cgroup) {
        match (self, &plan.scope) {
            (Keeper::Systemd { systemd, .. }, Some(scope)) => scope.remove(cgroup, systemd),
            _ => drop(cgroup.remove()),
        }
    }
}

#[cold]
#[inline(never)]
fn connect(buses: Buses<'_>, directory: &Directory) -> Result<Keeper> {
    let ordinary = host::is_ordinary();
    let systemd = reach(&buses.addresses(ordinary), ordinary, directory)?;
    let outside = ordinary && !own_cgroup().is_ok_and(|own| may_move(".", &own, &systemd.root));
    Ok(Keeper::Systemd { systemd: Box::new(systemd), outside })
}

/// A line to it, with what is remembered of it.
fn reach(addresses: &[Address], ordinary: bool, directory: &Directory) -> Result<Systemd> {
    let mut systemd = Systemd::connect(addresses, ordinary).at(format_args!("systemd"))?;
    if let Ok(Some(text)) = directory.read(UNKNOWN)
        && let mut lines = text.split(|byte| *byte == b'\n')
        && lines.next() == Some(incarnation(&systemd).as_bytes())
    {
        systemd.unsupported = lines.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    }
    Ok(systemd)
}

/// The properties that an older systemd does not know, beside all containers: else each would cost a call in vain at
/// every start.
const UNKNOWN: &CStr = c"../.systemd-unknown";

/// Writes them down. What cannot be is asked again.
pub fn remember(systemd: &Systemd, directory: &Directory) {
    if systemd.has_new_unsupported {
        let text = format!("{}\n{}", incarnation(systemd), systemd.unsupported.join("\n"));
        let _ = directory.replace(UNKNOWN, text.as_bytes());
    }
}

/// Which systemd it is: one that is newer, or was executed anew, has made its socket again.
fn incarnation(systemd: &Systemd) -> String {
    let shown = systemd.address_text();
    match statat(CWD, shown.as_str(), AtFlags::empty()) {
        Ok(stat) => format!("{shown} {} {}.{}", stat.st_ino, stat.st_ctime, stat.st_ctime_nsec),
        Err(_) => shown,
    }
}

/// The systemd that made a container's scope, with the scope's name; `None` for one without.
#[cold]
#[inline(never)]
pub fn kept<'s>(directory: &Directory, status: &'s Status) -> Option<(&'s str, Result<Systemd>)> {
    let scope = status.scope.as_deref()?;
    let address = Address::read(status.bus.as_deref().unwrap_or_default());
    Some((scope, reach(&[address], host::is_ordinary(), directory)))
}

/// The end of the scope of a container whose cgroup is removed.
#[cold]
#[inline(never)]
pub fn end(directory: &Directory, status: &Status, layout: &Cgroups) -> Result<()> {
    // A create that was killed may never have come to ask for it, or in vain: it is somebody else's then.
    let is_own = status.process.pid != 0;
    if is_own && matches!(layout, Cgroups::Unified) && ends_by_itself(status) {
        return Ok(());
    }
    let Some((scope, systemd)) = kept(directory, status) else { return Ok(()) };
    // It ends with its last process, and a systemd that is gone has taken its scopes along.
    if let Ok(mut systemd) = systemd {
        if is_own || systemd.description(scope)? == about(directory) {
            systemd.stop(scope)?;
        } else {
            return Ok(());
        }
    }
    // Where systemd makes none: in hierarchies of v1 that it does not know.
    let path = status.cgroup.as_deref().unwrap_or_default();
    match scope_of(path, scope) {
        "" => Ok(()),
        own => Cgroup::open(own, layout)?.remove_unentered(),
    }
}

/// Whether nothing is left of a scope, so that there is no need to ask: when it is empty systemd removes its cgroup,
/// and then the unit, and with that, before the name can be used again, the unit's file. Which it is about to do.
fn ends_by_itself(status: &Status) -> bool {
    const UNITS: &str = "/run/systemd/transient";
    /// Milliseconds. It takes a few; with something left in the scope it would never come.
    const PATIENCE: i64 = 200;
    let (Some(scope), Some(path)) = (&status.scope, &status.cgroup) else { return false };
    let is_there = |path: &str| access(path, Access::EXISTS).is_ok();
    // A user's systemd has its files elsewhere.
    if host::is_ordinary() || !is_there(UNITS) {
        return false;
    }
    let Ok(inotify) = inotify::init(inotify::CreateFlags::CLOEXEC) else { return false };
    let file = format!("{UNITS}/{scope}");
    let unlinked = match inotify::add_watch(&inotify, file.as_str(), inotify::WatchFlags::DELETE_SELF) {
        Ok(_) => {
            let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE * 1_000_000 };
            poll(&mut [PollFd::new(&inotify, PollFlags::IN)], Some(&patience)) == Ok(1)
        }
        Err(errno) => errno == Errno::NOENT,
    };
    unlinked && !is_there(&format!("{}{}", Show(host::CGROUP_ROOT), scope_of(path, scope)))
}

/// How a container's scope is described, and known.
#[cold]
#[inline(never)]
fn about(directory: &Directory) -> String {
    format!("container {}", directory.path())
}

/// The cgroup that was given to whoever runs this: the one that this process is in, or the one above it
/// (systemd.resource-control(5), Delegate=, DelegateSubgroup=). systemd marks them.
#[cold]
#[inline(never)]
fn delegated() -> Result<String> {
    const OPTION: &str = "--cgroup-manager delegated";
    let Cgroups::Unified = Cgroups::read()? else {
        return Err(Error::unsupported(format_args!("{OPTION}: needs cgroup v2 alone")));
    };
    let own = own_cgroup()?;
    let own = own.as_str();
    let above = own.rsplit_once('/').map_or("", |(above, _)| above);
    let marked = [own, above].into_iter().find(|path| !path.is_empty() && is_given(path));
    marked
        .map(String::from)
        .ok_or_else(|| Error::invalid(format_args!("{OPTION}: cgroup {own} is not delegated")))
}

/// The cgroup v2 that this process is in.
fn own_cgroup() -> Result<String> {
    cgroup_of(rustix::process::getpid().as_raw_nonzero().get())
}

/// Who moves in those that join a container which is there already, where this process may not.
#[cold]
#[inline(never)]
pub fn mover(status: &Status) -> Option<AttachVia> {
    let (scope, path) = status.scope.as_deref().zip(status.cgroup.as_deref())?;
    if !host::is_ordinary() || own_cgroup().is_ok_and(|own| may_move(".", &own, path)) {
        return None;
    }
    let address = Address::read(status.bus.as_deref().unwrap_or_default());
    Some(AttachVia { scope: scope.into(), address })
}

fn is_given(path: &str) -> bool {
    let directory = format!("{}{path}", Show(host::CGROUP_ROOT));
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 1];
        getxattr(directory.as_str(), *name, &mut value).is_ok_and(|_| value == *b"1")
    })
}
