//! The plan of a container's scope: its name, its cgroup and its properties.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::name::Names;
use super::property::{self, Property};
use super::{annotation, device};
use crate::cgroup::controllers::write::Write;
use crate::cgroup::fs::path;
use crate::cgroup::placement::SystemdPlacement;
use crate::config::Config;
use crate::error::Result;
use crate::os::dbus::message::Value;

/// The plan of a scope.
#[derive(Debug)]
pub struct Scope {
    pub name: String,
    /// The path of its cgroup.
    pub path: String,
    /// Whether systemd has to move the container init into it, since mote is not permitted to.
    pub is_outside: bool,
    pub(super) properties: Vec<Property>,
    /// The properties that annotations request. They are sent last, since later values override earlier ones.
    pub(super) from_annotations: Vec<Property>,
}

impl Scope {
    /// Plans the scope; also returns the path of the container's own cgroup, which may be the scope's.
    ///
    /// Errors: invalid names, paths or annotations.
    #[cold]
    #[inline(never)]
    pub fn plan(
        config: &Config<'_>,
        id: &str,
        place: &SystemdPlacement,
        writes: &[Write],
    ) -> Result<(Self, String)> {
        let slice = if place.is_user { "user.slice" } else { "system.slice" };
        let names = Names::plan(config.linux.cgroups_path, id, slice)?;
        let path = names.path(&place.root);
        let own = format!("{path}{}", subgroup(config)?);
        let yes = |name: &'static str| (Cow::from(name), Value::Bool(true));
        let mut properties = Vec::from([
            ("Slice".into(), Value::Text(names.slice)),
            // Without the default dependencies, which would stop it at shutdown before other units.
            ("DefaultDependencies".into(), Value::Bool(false)),
            yes("Delegate"),
            yes("CPUAccounting"),
            yes("MemoryAccounting"),
            yes("IOAccounting"),
            yes("TasksAccounting"),
            // Also if it has failed, as by an OOM kill, it is unloaded, so that its name can be used again.
            ("CollectMode".into(), Value::Text("inactive-or-failed".into())),
        ]);
        properties.append(&mut property::plan(writes));
        properties.extend(oom_policy(writes));
        // A user instance is not permitted to load device programs.
        if !place.is_user {
            properties.append(&mut device::plan(&config.linux.resources.devices));
        }
        let from_annotations = annotation::plan(&config.annotations)?;
        Ok((
            Scope { name: names.scope, path, is_outside: place.is_outside, properties, from_annotations },
            own,
        ))
    }
}

/// OOMPolicy=, which determines what is killed together with a process by an OOM kill. It cannot be changed later.
fn oom_policy(writes: &[Write]) -> Option<Property> {
    let group = writes.iter().rev().find(|write| write.file == "memory.oom.group")?;
    let word = if group.value == "1" { "kill" } else { "continue" };
    Some(("OOMPolicy".into(), Value::Text(word.into())))
}

/// The path of the container's cgroup relative to the scope's: `/container` by default, as in crun, or that of an
/// annotation.
fn subgroup(config: &Config<'_>) -> Result<String> {
    const KEY: &CStr = c"run.oci.systemd.subgroup";
    match config.annotation(KEY) {
        Some(given) if given.is_empty() => Ok(String::new()),
        Some(given) => {
            path::check(given).map_err(|why| path::refused("annotations.run.oci.systemd.subgroup", why))
        }
        None => Ok("/container".into()),
    }
}
