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

/// A scope to be made.
#[derive(Debug)]
pub struct Scope {
    pub name: String,
    /// Its cgroup.
    pub path: String,
    /// systemd moves the container's process into it.
    pub is_outside: bool,
    pub(super) properties: Vec<Property>,
    /// Those that annotations ask for. They come last, for what is set last holds.
    pub(super) from_annotations: Vec<Property>,
}

impl Scope {
    /// Decides; gives also the path of the container's own cgroup, which may be the scope's.
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
            // It is not there to be stopped before others at shutdown.
            ("DefaultDependencies".into(), Value::Bool(false)),
            yes("Delegate"),
            yes("CPUAccounting"),
            yes("MemoryAccounting"),
            yes("IOAccounting"),
            yes("TasksAccounting"),
            // One that has failed, as by an OOM kill, is not kept to be seen: its name is free again.
            ("CollectMode".into(), Value::Text("inactive-or-failed".into())),
        ]);
        properties.append(&mut property::plan(writes));
        properties.extend(oom_policy(writes));
        // Programs for devices are not a user's to load.
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

/// What cannot be changed later: what is killed when memory is at an end.
fn oom_policy(writes: &[Write]) -> Option<Property> {
    let group = writes.iter().rev().find(|write| write.file == "memory.oom.group")?;
    let word = if group.value == "1" { "kill" } else { "continue" };
    Some(("OOMPolicy".into(), Value::Text(word.into())))
}

/// The container's cgroup below the scope's: as crun has it, `/container`, unless an annotation says otherwise.
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
