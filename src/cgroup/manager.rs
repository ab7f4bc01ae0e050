//! The cgroup manager, which creates and removes the cgroups of containers: cgroupfs or systemd.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rustix::fs::getxattr;

use super::fs::current::{delegated_parent, may_move, own_cgroup};
use super::handle::Cgroup;
use super::placement::{Placement, SystemdPlacement};
use super::plan::Plan;
use super::systemd::bus::Buses;
use super::systemd::call::Systemd;
use super::systemd::learned::{self, Cache};
use crate::config::Config;
use crate::error::{Error, Result, Show};
use crate::host::{self, Cgroups};

/// The requested cgroup manager, which creates and removes the cgroups of containers (`--cgroup-manager`).
#[derive(Clone, Debug, Default)]
pub enum CgroupManager {
    /// mote itself creates the cgroups, by mkdir(2).
    #[default]
    Cgroupfs,
    /// cgroupfs, with cgroups below the one that was delegated to the caller.
    Delegated,
    /// systemd creates a scope for each container (systemd.scope(5)).
    Systemd(Buses),
    /// Containers get no cgroup.
    Disabled,
}

/// A cgroup manager in use, with its connection to systemd if it needs one.
pub(crate) struct Manager {
    placement: Placement,
    systemd: Option<Box<Systemd>>,
}

impl Manager {
    /// Prepares the requested manager. `cache` lists the properties that systemd is known not to support.
    ///
    /// Errors: systemd is not reachable, or the caller's cgroup is not delegated.
    pub(crate) fn new(
        requested: &CgroupManager,
        config: &Config<'_>,
        layout: &Cgroups,
        cache: &dyn Cache,
    ) -> Result<Self> {
        let placement = match requested {
            CgroupManager::Cgroupfs if config.linux.cgroups_path.is_none() => {
                delegated_parent(layout).map_or(Placement::Root, Placement::Below)
            }
            CgroupManager::Cgroupfs => Placement::Root,
            CgroupManager::Disabled => Placement::Disabled,
            CgroupManager::Delegated => delegated().map(Placement::Below)?,
            CgroupManager::Systemd(buses) => return connect(buses, cache),
        };
        Ok(Manager { placement, systemd: None })
    }

    /// The place at which cgroups are created.
    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The address of systemd, to connect to the same instance again when the container is deleted.
    pub(crate) fn address(&self) -> Option<String> {
        self.systemd.as_deref().map(Systemd::address_text)
    }

    /// Creates the cgroup of a plan, and its scope, with `description` as Description=. If this fails, both are
    /// removed again.
    pub(crate) fn create(
        &mut self,
        plan: &Plan,
        description: fmt::Arguments<'_>,
        cache: &dyn Cache,
        warnings: &mut Vec<Error>,
    ) -> Result<Option<Cgroup>> {
        match (&mut self.systemd, &plan.scope) {
            (Some(systemd), Some(scope)) => {
                let created = plan.create_scope(scope, systemd, &format!("{description}")).map(Some);
                learned::save(systemd, cache);
                created
            }
            _ => plan.create(warnings),
        }
    }

    /// Removes the cgroup of a plan, and its scope.
    #[cold]
    #[inline(never)]
    pub(crate) fn remove(&mut self, plan: &Plan, cgroup: Cgroup) {
        match (&mut self.systemd, &plan.scope) {
            (Some(systemd), Some(scope)) => scope.remove(cgroup, systemd),
            _ => drop(cgroup.remove()),
        }
    }
}

#[cold]
#[inline(never)]
fn connect(buses: &Buses, cache: &dyn Cache) -> Result<Manager> {
    let ordinary = host::is_ordinary();
    let systemd = learned::connect(&buses.addresses(ordinary), ordinary, cache)?;
    let is_outside = ordinary && !own_cgroup().is_ok_and(|own| may_move(".", &own, &systemd.root));
    let placement = SystemdPlacement { root: systemd.root.clone(), is_user: systemd.is_user, is_outside };
    Ok(Manager { placement: Placement::Systemd(placement), systemd: Some(Box::new(systemd)) })
}

/// The cgroup that was delegated to the caller: the one of this process, or its parent (systemd.resource-control(5),
/// Delegate=, DelegateSubgroup=). systemd marks delegated cgroups by an extended attribute.
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
    let marked = [own, above].into_iter().find(|path| !path.is_empty() && is_delegated(path));
    marked
        .map(String::from)
        .ok_or_else(|| Error::invalid(format_args!("{OPTION}: cgroup {own} is not delegated")))
}

fn is_delegated(path: &str) -> bool {
    let directory = format!("{}{path}", Show(host::CGROUP_ROOT));
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 1];
        getxattr(directory.as_str(), *name, &mut value).is_ok_and(|_| value == *b"1")
    })
}
