//! The plan of a container's cgroup: its path, limits and device rules, and when the container init joins it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
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

/// The plan of a cgroup and its limits.
#[derive(Debug)]
pub struct Plan {
    /// The path relative to the hierarchies' roots: `/a/b`.
    pub path: String,
    pub layout: Cgroups,
    pub(super) writes: Vec<Write>,
    /// The device program, if devices are controlled by v2.
    devices: Option<program::DeviceProgram>,
    join: JoinTime,
    /// Whether the container can run without it, if creating it is denied: there is neither a path nor a limit.
    optional: bool,
    /// The scope to be created by systemd.
    pub scope: Option<Box<Scope>>,
    pub(super) delegation: Option<Box<Delegation>>,
}

impl Plan {
    /// Plans the cgroup of a configuration; `None` if cgroups are disabled ([`Placement::Disabled`]) or the host has
    /// none. Without CAP_SYS_ADMIN (`may_limit_devices`) device rules have no effect on any host.
    ///
    /// Errors: invalid limits or paths, and limits that the host's hierarchies do not support.
    pub fn new(
        config: &Config<'_>,
        id: &str,
        (placement, delegation): (&Placement, Option<Box<Delegation>>),
        layout: &Cgroups,
        may_limit_devices: bool,
    ) -> Result<Option<Self>> {
        let linux = &config.linux;
        if let Placement::Disabled = placement {
            return Ok(None);
        }
        let mut writes = write::plan(&linux.resources, layout)?;
        if matches!(layout, Cgroups::None) {
            return match first_limit(&writes, &linux.resources.devices, may_limit_devices) {
                None => Ok(None),
                Some(field) => Err(Error::invalid(format_args!("{field}: no cgroups at /sys/fs/cgroup"))),
            };
        }
        if let Some(limit) = linux.resources.memory.limit.filter(|limit| (1..SMALLEST_MEMORY).contains(limit))
        {
            return Err(Error::invalid(format_args!(
                "linux.resources.memory.limit: {limit} is below {}, the minimum for starting a container",
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

    /// Creates the directories and writes the limits. `None` if this is denied and the cgroup is optional; a warning
    /// is then added to `warnings`.
    ///
    /// Errors: directories that were created are removed again.
    pub fn create(&self, warnings: &mut Vec<Error>) -> Result<Option<Cgroup>> {
        let hierarchies = Hierarchies::open(&self.layout)?;
        let cgroup = Cgroup::new(hierarchies, &self.path);
        let mut made = Vec::new();
        let created = cgroup.hierarchies.create(&self.path, &self.writes, &mut made);
        let created = match self.optional {
            true => created,
            false => {
                created.map_err(|error| cgroup.hierarchies.not_delegated(error, &self.path, &self.writes))
            }
        };
        let limited = created.and_then(|()| cgroup.write(&self.writes, None));
        match limited.and_then(|()| self.finish(&cgroup, &mut made)) {
            Ok(()) => Ok(Some(cgroup)),
            Err(error) => {
                // Existing directories, which may contain processes, are kept.
                cgroup.hierarchies.undo(&made);
                // Unprivileged users cannot load device programs; for an administrator a missing one is an error.
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

    /// Completes a cgroup whose limits are written: checks that it is not frozen, attaches the device program and
    /// delegates it. `made` as for [`Hierarchies::create`].
    pub(super) fn finish(&self, cgroup: &Cgroup, made: &mut Vec<String>) -> Result<()> {
        // The root cgroup cannot be frozen, so a new cgroup directly below it is not.
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

    /// Opens the files with which a process joins the cgroup (see [`Cgroup::open_fds`]) and then its delegated
    /// sub-cgroup.
    pub fn open_fds(&self, cgroup: &Cgroup, at_clone: bool) -> Result<CgroupFds> {
        let mut fds = cgroup.open_fds(at_clone)?;
        if let Some(delegation) = &self.delegation {
            fds.sub_cgroup = delegation.open_sub_cgroup(&cgroup.hierarchies, &self.path)?;
        }
        Ok(fds)
    }

    /// Whether there is a limit of the memory controller, so that OOM kills are possible.
    pub fn limits_memory(&self) -> bool {
        self.writes.iter().any(|write| write.controller() == "memory")
    }

    /// Whether the child waits until systemd has moved it into the cgroup ([`Cgroup::attach`]).
    pub fn is_attached_by_systemd(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_outside)
    }

    /// The time at which the container init joins.
    pub fn join_time(&self) -> JoinTime {
        self.join
    }
}

/// The first field that needs a cgroup.
#[cold]
fn first_limit(writes: &[Write], devices: &[DeviceRule], may_limit_devices: bool) -> Option<String> {
    let devices = (may_limit_devices && !devices.is_empty()).then(|| "linux.resources.devices".into());
    writes.first().map(|write| write.name().to_string()).or(devices)
}

/// Plans device rules: as writes to the v1 devices hierarchy if there is one, else as a program for v2. For an
/// existing cgroup `done` is the number of rules at the beginning of `rules` that are already in force.
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
