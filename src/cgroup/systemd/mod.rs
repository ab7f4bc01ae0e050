//! Cgroups that systemd makes: a scope for each container (systemd.scope(5), org.freedesktop.systemd1(5), "Control
//! Group APIs and Delegation").
//!
//! The scope is systemd's, with the limits that it knows as properties. Below it the container has a cgroup of its
//! own, where all limits are written exactly, as without systemd.

mod annotation;
pub mod bus;
pub mod call;
mod device;
pub mod learned;
pub mod name;
pub mod placeholder;
pub mod property;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::process::Pid;

use super::delegation::Delegation;
use super::hierarchies::Hierarchies;
use super::placement::SystemdPlacement;
use super::write::Write;
use super::{Cgroup, Plan, path};
use crate::config::Config;
use crate::config::device::DeviceRule;
use crate::error::{At, Result};
use crate::os::dbus::Address;
use crate::os::dbus::message::Value;
use call::Systemd;
use name::{Names, scope_of};
use placeholder::Placeholder;
use property::{Property, is_relative};

/// A scope to be made.
#[derive(Debug)]
pub struct Scope {
    pub name: String,
    /// Its cgroup.
    pub path: String,
    /// systemd moves the container's process into it.
    pub is_outside: bool,
    properties: Vec<Property>,
    /// Those that annotations ask for. They come last, for what is set last holds.
    from_annotations: Vec<Property>,
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
        let asked = annotation::plan(&config.annotations)?;
        Ok((
            Scope {
                name: names.scope,
                path,
                is_outside: place.is_outside,
                properties,
                from_annotations: asked,
            },
            own,
        ))
    }

    /// Takes it away again, with the container's cgroup, as far as that can be done.
    #[cold]
    #[inline(never)]
    pub fn remove(&self, cgroup: Cgroup, systemd: &mut Systemd) {
        let _ = cgroup.remove();
        cgroup.release_placeholder();
        let _ = systemd.stop(&self.name);
        let _ = cgroup.hierarchies.remove(&self.path);
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

impl Plan {
    /// Has the scope made, and makes the cgroup in it; `about` describes it to whoever looks. Whoever joins holds it
    /// from then on ([`Cgroup::release`]). When it fails nothing is left.
    #[cold]
    #[inline(never)]
    pub fn create_scope(&self, scope: &Scope, systemd: &mut Systemd, about: &str) -> Result<Cgroup> {
        let hierarchies = Hierarchies::open(&self.layout)?;
        let placeholder = Placeholder::start()?;
        systemd.start(scope, about, placeholder.pid)?;
        let made = self.make_below(scope, &hierarchies, &placeholder);
        let attach_via = scope
            .is_outside
            .then(|| AttachVia { scope: scope.name.clone(), address: systemd.address().clone() });
        let cgroup = Cgroup {
            placeholder: Some(placeholder).into(),
            attach_via: attach_via,
            ..Cgroup::new(hierarchies, &self.path)
        };
        let limited = made.and_then(|()| {
            cgroup.write_scope(&self.writes, &scope.path)?;
            cgroup.write(&self.writes, None)?;
            // Whatever was made, all of it is removed when it fails.
            self.finish(&cgroup, &mut Vec::new())?;
            // Nor may the placeholder stay where the container hands controllers down.
            let below = self.delegation.as_deref().and_then(Delegation::below);
            below.map_or(Ok(()), |below| cgroup.move_placeholder(below))
        });
        match limited {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                scope.remove(cgroup, systemd);
                Err(error)
            }
        }
    }

    /// Makes the directories that systemd has not made. Nobody may be in a cgroup whose controllers are handed down
    /// (cgroups(7), "no internal processes"), so the placeholder goes below first.
    fn make_below(&self, scope: &Scope, hierarchies: &Hierarchies, placeholder: &Placeholder) -> Result<()> {
        for hierarchy in hierarchies.all() {
            let whole = Hierarchies::path(hierarchy, &self.path);
            let v2 = hierarchies.v2 == Some(hierarchy);
            hierarchies
                .make_all(hierarchy, &self.path, &mut Vec::new())
                .at(format_args!("cgroup {}", self.path))?;
            if v2 && scope.path != self.path {
                placeholder.move_to(hierarchies, &whole)?;
            }
        }
        hierarchies.enable(&self.path, &self.writes)
    }
}

/// The systemd that has a scope.
#[derive(Clone, Debug)]
pub struct AttachVia {
    pub scope: String,
    pub address: Address,
}

impl Cgroup {
    /// Moves the placeholder to a cgroup below.
    #[cold]
    #[inline(never)]
    fn move_placeholder(&self, below: &str) -> Result<()> {
        let Some(placeholder) = self.placeholder.take() else { return Ok(()) };
        let v2 = self.hierarchies.v2.unwrap_or_default();
        let moved = placeholder.move_to(&self.hierarchies, &format!("{v2}{}{below}", self.path));
        self.placeholder.set(Some(placeholder));
        moved
    }

    /// Has systemd move in who joins.
    pub fn with_attach(self, attach_via: Option<AttachVia>) -> Self {
        Cgroup { attach_via: attach_via, ..self }
    }

    /// Has a process moved in.
    #[cold]
    #[inline(never)]
    pub(super) fn attach_by(&self, AttachVia { scope, address }: &AttachVia, pid: Pid) -> Result<()> {
        let path = self.join_path(self.hierarchies.v2.unwrap_or_default());
        let below = path.strip_prefix(scope_of(path, scope)).unwrap_or_default();
        Systemd::connect(core::slice::from_ref(address), true)?.attach(scope, below, pid)
    }

    /// Writes to the scope's own cgroup, where it is another one, what means nothing below it.
    fn write_scope(&self, writes: &[Write], path: &str) -> Result<()> {
        let mut relative = writes.to_vec();
        relative.retain(|write| is_relative(&write.file));
        match relative.is_empty() || path == self.path {
            true => Ok(()),
            false => Cgroup::open(path, &self.hierarchies.layout())?.write(&relative, None),
        }
    }

    /// What `update` has written, told to systemd, and to the scope's cgroup.
    #[cold]
    #[inline(never)]
    pub fn update_scope(
        &self,
        scope: &str,
        systemd: &mut Systemd,
        writes: &[Write],
        rules: &[DeviceRule],
    ) -> Result<()> {
        let mut writes: Vec<Write> = writes.to_vec();
        // A quota alone is for the period that is there.
        for write in writes.iter_mut().filter(|write| write.file == "cpu.max") {
            write.value = self.text("cpu.max").map_or_else(String::new, |text| text.trim().into());
        }
        let mut properties = property::plan(&writes);
        if !rules.is_empty() && !systemd.is_user {
            properties.append(&mut device::plan(rules));
        }
        if !properties.is_empty() {
            systemd.change(scope, &properties)?;
        }
        self.write_scope(&writes, scope_of(&self.path, scope))
    }
}
