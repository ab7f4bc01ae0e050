//! Creating, updating and removing a container's scope, with the container's cgroup in it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::attach::AttachVia;
use super::call::Systemd;
use super::device;
use super::name::scope_of;
use super::placeholder::Placeholder;
use super::property::{self, is_relative};
use super::scope::Scope;
use crate::cgroup::controllers::write::Write;
use crate::cgroup::fs::delegation::Delegation;
use crate::cgroup::fs::hierarchies::Hierarchies;
use crate::cgroup::handle::Cgroup;
use crate::cgroup::plan::Plan;
use crate::config::device::DeviceRule;
use crate::error::{At, Result};

impl Scope {
    /// Removes the scope and the container's cgroup, ignoring errors.
    #[cold]
    #[inline(never)]
    pub fn remove(&self, cgroup: Cgroup, systemd: &mut Systemd) {
        let _ = cgroup.remove();
        cgroup.release_placeholder();
        let _ = systemd.stop(&self.name);
        let _ = cgroup.hierarchies.remove(&self.path);
    }
}

impl Plan {
    /// Creates the scope, with `about` as Description=, and the cgroup in it. The placeholder process keeps the scope
    /// until another process has joined ([`Cgroup::release_placeholder`]).
    ///
    /// Errors: scope and cgroup are removed again.
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
            attach_via,
            ..Cgroup::new(hierarchies, &self.path)
        };
        let limited = made.and_then(|()| {
            cgroup.write_scope(&self.writes, &scope.path)?;
            cgroup.write(&self.writes, None)?;
            // The list of created directories is not needed: on failure the whole scope is removed.
            self.finish(&cgroup, &mut Vec::new())?;
            // The container enables controllers in this cgroup, so the placeholder must not be in it either.
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

    /// Creates the directories that systemd has not created. A cgroup that enables controllers must not contain
    /// processes (cgroups(7), "no internal processes"), so the placeholder is first moved from the scope's cgroup to
    /// the container's.
    fn make_below(&self, scope: &Scope, hierarchies: &Hierarchies, placeholder: &Placeholder) -> Result<()> {
        for hierarchy in hierarchies.all() {
            let full_path = Hierarchies::path(hierarchy, &self.path);
            let v2 = hierarchies.v2 == Some(hierarchy);
            hierarchies
                .make_all(hierarchy, &self.path, &mut Vec::new())
                .at(format_args!("cgroup {}", self.path))?;
            if v2 && scope.path != self.path {
                placeholder.move_to(hierarchies, &full_path)?;
            }
        }
        let enabled = hierarchies.enable(&self.path, &self.writes);
        enabled.map_err(|error| hierarchies.not_delegated(error, &self.path, &self.writes))
    }
}

impl Cgroup {
    /// Moves the placeholder to a sub-cgroup.
    #[cold]
    #[inline(never)]
    fn move_placeholder(&self, below: &str) -> Result<()> {
        let Some(placeholder) = self.placeholder.take() else { return Ok(()) };
        let v2 = self.hierarchies.v2.unwrap_or_default();
        let moved = placeholder.move_to(&self.hierarchies, &format!("{v2}{}{below}", self.path));
        self.placeholder.set(Some(placeholder));
        moved
    }

    /// Writes the limits that are relative ([`is_relative`]) to the scope's cgroup, if the container's is another one.
    fn write_scope(&self, writes: &[Write], path: &str) -> Result<()> {
        let mut relative = writes.to_vec();
        relative.retain(|write| is_relative(&write.file));
        match relative.is_empty() || path == self.path {
            true => Ok(()),
            false => Cgroup::open(path, &self.hierarchies.layout())?.write(&relative, None),
        }
    }

    /// Sets the properties for what `update` has written, and writes the limits of the scope's cgroup.
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
        // A quota alone is for the present period, so both are read back.
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
