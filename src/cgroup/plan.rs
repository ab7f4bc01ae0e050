//! The plan of a container's cgroup: its path, its limits, its device rules, and when its process joins.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::io;

use super::controllers::write::{self, Write};
use super::devices::{program, rules};
use super::fs::delegation::Delegation;
use super::fs::fds::CgroupFds;
use super::fs::hierarchies::Hierarchies;
use super::fs::join::JoinTime;
use super::fs::path;
use super::handle::{Cgroup, is_denied};
use super::placement::Placement;
use super::systemd::scope::Scope;
use crate::config::Config;
use crate::config::device::DeviceRule;
use crate::config::resources::SMALLEST_MEMORY;
use crate::error::{Error, Kind, Result};
use crate::host::{self, Cgroups};

/// The cgroup and its limits.
#[derive(Debug)]
pub struct Plan {
    /// `/a/b`, below the hierarchies' roots.
    pub path: String,
    pub layout: Cgroups,
    pub(super) writes: Vec<Write>,
    /// Where v2 has the say about devices.
    devices: Option<program::DeviceProgram>,
    join: JoinTime,
    /// Nothing was asked of it: who may not have one does without.
    optional: bool,
    /// What systemd is asked for.
    pub scope: Option<Box<Scope>>,
    pub(super) delegation: Option<Box<Delegation>>,
}

impl Plan {
    /// Decides path, writes and way of joining; `None` when cgroups are left alone ([`Placement::Disabled`]) or the
    /// host has none.
    pub fn new(
        config: &Config<'_>,
        id: &str,
        (placement, delegation): (&Placement, Option<Box<Delegation>>),
        layout: &Cgroups,
    ) -> Result<Option<Self>> {
        let linux = &config.linux;
        if let Placement::Disabled = placement {
            return Ok(None);
        }
        let mut writes = write::plan(&linux.resources, layout)?;
        if matches!(layout, Cgroups::None) {
            return match writes.is_empty() && linux.resources.devices.is_empty() {
                true => Ok(None),
                false => Err(Error::invalid(format_args!("linux.resources: no cgroups at /sys/fs/cgroup"))),
            };
        }
        if let Some(limit) = linux.resources.memory.limit.filter(|limit| (1..SMALLEST_MEMORY).contains(limit))
        {
            return Err(Error::invalid(format_args!(
                "linux.resources.memory.limit: {limit} is below {}, with which a container may not start",
                SMALLEST_MEMORY
            )));
        }
        let optional = linux.cgroups_path.is_none() && writes.is_empty() && !matches!(layout, Cgroups::Named);
        let devices = plan_devices(&linux.resources.devices, None, layout, &mut writes)?;
        let mut join = JoinTime::of(&linux.resources);
        let mut scope = None;
        let path = match placement {
            Placement::Systemd(place) => {
                let (planned, path) = Scope::plan(config, id, place, &writes)?;
                scope = Some(Box::new(planned));
                join = join.with_placeholder(linux.resources.pids);
                path
            }
            Placement::Below(above) => format!("{above}{}", path::plan(linux.cgroups_path, id)?),
            Placement::Root | Placement::Disabled => path::plan(linux.cgroups_path, id)?,
        };
        Ok(Some(Plan { path, layout: layout.clone(), writes, devices, join, optional, scope, delegation }))
    }

    /// Makes the directories and writes the limits. `None`: denied, and not needed, which goes to `warnings`. What
    /// was made is removed again when it fails.
    pub fn create(&self, warnings: &mut Vec<Error>) -> Result<Option<Cgroup>> {
        let hierarchies = Hierarchies::open(&self.layout)?;
        let cgroup = Cgroup::new(hierarchies, &self.path);
        let mut made = Vec::new();
        let created = cgroup.hierarchies.create(&self.path, &self.writes, &mut made);
        let limited = created.and_then(|()| cgroup.write(&self.writes, None));
        match limited.and_then(|()| self.finish(&cgroup, &mut made)) {
            Ok(()) => Ok(Some(cgroup)),
            Err(error) => {
                // Not what was there before, with whoever is in it.
                cgroup.hierarchies.undo(&made);
                // Rules of devices are no user's to load, but an administrator's are wanted.
                let useless =
                    || !host::is_administrator() || error.is(io::Errno::ROFS) && self.devices.is_none();
                match self.optional && is_denied(&error) && useless() {
                    true => {
                        warnings
                            .push(error.within(format_args!("the container has no cgroup")).of(Kind::Remark));
                        Ok(None)
                    }
                    false => Err(error),
                }
            }
        }
    }

    /// The last steps to a cgroup that is as it shall be.
    pub(super) fn finish(&self, cgroup: &Cgroup, made: &mut Vec<String>) -> Result<()> {
        // The root is never frozen, nor what was just made right below it.
        let is_new = made.len() == cgroup.hierarchies.all().count();
        if !is_new || self.path.rfind('/') != Some(0) {
            cgroup.hierarchies.must_run(&self.path)?;
        }
        cgroup.attach_devices(self.devices.as_ref())?;
        match &self.delegation {
            Some(delegation) => delegation.apply(&cgroup.hierarchies, &self.path, made),
            None => Ok(()),
        }
    }

    /// Opens what a process needs to join (see [`Cgroup::open_fds`]), and to go on to the cgroup below that is its own.
    pub fn open_fds(&self, cgroup: &Cgroup, at_clone: bool) -> Result<CgroupFds> {
        let mut fds = cgroup.open_fds(at_clone)?;
        if let Some(delegation) = &self.delegation {
            fds.sub_cgroup = delegation.open_sub_cgroup(&cgroup.hierarchies, &self.path)?;
        }
        Ok(fds)
    }

    /// Whether memory may run out in it.
    pub fn limits_memory(&self) -> bool {
        self.writes.iter().any(|write| write.controller() == "memory")
    }

    /// Whether the container's process waits until it is moved in, by [`Cgroup::attach`].
    pub fn is_attached_by_systemd(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_outside)
    }

    /// When the container's process joins.
    pub fn join_time(&self) -> JoinTime {
        self.join
    }
}

/// Rules of devices go to the v1 hierarchy that has them, or else are a program for the v2 one. `done` of them are
/// in force already, unless the cgroup is new.
pub(super) fn plan_devices(
    rules: &[DeviceRule],
    done: Option<usize>,
    layout: &Cgroups,
    writes: &mut Vec<Write>,
) -> Result<Option<program::DeviceProgram>> {
    if layout.has_v1("devices") {
        writes.append(&mut rules::list(rules, done)?);
        return Ok(None);
    }
    match layout.has_v2() {
        true => program::DeviceProgram::new(rules).map(Some),
        false if rules.is_empty() => Ok(None),
        false => {
            Err(Error::invalid(format_args!("linux.resources.devices: no devices controller on this host")))
        }
    }
}
