//! A container's scope created, updated and removed, with the container's cgroup in it.

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

impl Plan {
    /// Has the scope made, and makes the cgroup in it; `about` describes it to whoever looks. Whoever joins holds it
    /// from then on ([`Cgroup::release_placeholder`]). When it fails nothing is left.
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
            let full_path = Hierarchies::path(hierarchy, &self.path);
            let v2 = hierarchies.v2 == Some(hierarchy);
            hierarchies
                .make_all(hierarchy, &self.path, &mut Vec::new())
                .at(format_args!("cgroup {}", self.path))?;
            if v2 && scope.path != self.path {
                placeholder.move_to(hierarchies, &full_path)?;
            }
        }
        hierarchies.enable(&self.path, &self.writes)
    }
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
