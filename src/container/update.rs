//! `update`: changes the resource limits of a container.

use alloc::format;
use core::ffi::CStr;

use super::scope;
use super::store::directory::{Directory, Store};
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::{State, Status};
use crate::bundle::CONFIG;
use crate::cgroup::Cgroup;
use crate::cgroup::controllers::write::Write;
use crate::cgroup::systemd::learned;
use crate::cgroup::update::first_given;
use crate::config::Config;
use crate::config::device::DeviceRule;
use crate::config::resources::Resources;
use crate::error::{At, Error, Kind, Result};
use crate::host::Cgroups;
use crate::intelrdt;
use crate::os::file::Source;

/// The arguments of `update`.
pub struct Request<'a> {
    /// The container ID.
    pub id: &'a CStr,
    /// The limits to change, an object as `linux.resources` of config.json. Those that are not given are not changed.
    pub resources: Source<'a>,
    /// Lines for the `schemata` file of its resctrl group.
    pub schemata: &'a [&'a str],
}

/// Changes the limits of a container that is created, running or paused. If a change fails, the others are undone as
/// far as possible.
///
/// Errors: [`Kind::State`] if the container is not running, or has no cgroup for a given limit.
pub fn update(store: &Store, request: Request<'_>) -> Result<()> {
    let directory = locked(store, request.id)?;
    let known = snapshot::of(&directory)?;
    let Snapshot { status, state } = &known;
    let refuse = |why: &str| {
        let id = directory.id();
        Error::new(Kind::State, format_args!("cannot update container \"{id}\": {why}"))
    };
    if !matches!(state, State::Created | State::Running | State::Paused) {
        return Err(known.not_running(&directory));
    }
    let mut text = directory.read(CONFIG)?.unwrap_or_default();
    let config = Config::decode("config.json", &mut text)?;
    let mut document = request.resources.read()?;
    let resources = Resources::decode(request.resources.name("resources"), &mut document)?;
    let earlier = &config.linux.resources.devices;
    match &status.cgroup {
        Some(path) => limit(&directory, status, path, &resources, earlier)?,
        None if let Some(field) = first_given(&resources, earlier, &Cgroups::read()?)? => {
            return Err(refuse(&format!("linux.resources.{field}: it has no cgroup")));
        }
        // No limit is given: engines call `update` also for settings that only the engine implements.
        None => {}
    }
    if request.schemata.is_empty() {
        return Ok(());
    }
    let rdt = config.linux.intel_rdt.as_ref().ok_or_else(|| refuse("it has no linux.intelRdt"))?;
    intelrdt::Plan::new(rdt, directory.id())?.update(request.schemata).at(format_args!("linux.intelRdt"))
}

/// Writes the limits to the cgroup and, if it is a scope, sets them as properties in systemd.
fn limit(
    directory: &Directory,
    status: &Status,
    path: &str,
    resources: &Resources<'_>,
    earlier: &[DeviceRule],
) -> Result<()> {
    let mut connected =
        scope::connect(directory, status).map(|(scope, systemd)| Ok((scope, systemd?))).transpose()?;
    let mut on_update = |cgroup: &Cgroup, writes: &[Write], rules: &[DeviceRule]| match &mut connected {
        None => Ok(()),
        Some((scope, systemd)) => {
            let updated = cgroup.update_scope(scope, systemd, writes, rules);
            learned::save(systemd, directory);
            updated
        }
    };
    Cgroup::open(path, &Cgroups::read()?)?.update(resources, earlier, &mut on_update)
}
