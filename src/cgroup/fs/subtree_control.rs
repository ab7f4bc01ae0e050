//! Enabling the controllers of cgroup v2 that a cgroup needs (cgroup-v2.rst, "Controlling Controllers").

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::io::{Errno, write};

use super::hierarchies::Hierarchies;
use super::path::FullPath;
use crate::cgroup::controllers::write::{IfMissing, Write};
use crate::error::{On, Result};

/// The controllers that are enabled without a limit, for statistics; domain controllers come before threaded ones
/// (cgroup-v2.rst, "Threads").
const USUAL: [&str; 5] = ["memory", "io", "cpuset", "cpu", "pids"];

impl Hierarchies {
    /// Enables controllers in `cgroup.subtree_control` of every cgroup above `path`: those that `writes` need, and as
    /// far as possible the usual ones.
    ///
    /// Errors: a controller that is needed does not exist or cannot be enabled.
    pub fn enable(&self, path: &str, writes: &[Write]) -> Result<()> {
        let Some(hierarchy) = self.v2 else { return Ok(()) };
        // One write for each controller. Files named `cgroup.*` need none.
        let mut needing: Vec<&Write> = Vec::new();
        for write in writes {
            let name = write.controller();
            match needing.iter_mut().find(|other| other.controller() == name) {
                // Errors name a limit that needs the controller, not an optional one.
                Some(other) if other.if_missing == IfMissing::Ignore => *other = write,
                Some(_) => {}
                None if name != "cgroup" && self.of(name) == Some(hierarchy) => needing.push(write),
                None => {}
            }
        }
        // In the hybrid layout v2 has only the controllers that v1 leaves, if any.
        if !self.v1.is_empty() && needing.is_empty() {
            return Ok(());
        }
        for (end, _) in path.match_indices('/') {
            let above = path.get(..end).unwrap_or_default();
            let directory = Self::path(hierarchy, above);
            let Ok(available) = self.read(&format!("{directory}/cgroup.controllers")) else { return Ok(()) };
            let enabled = self.read(&format!("{directory}/cgroup.subtree_control"))?;
            for write in &needing {
                let name = write.controller();
                if !lists(&available, name) {
                    return Err(self.missing(write, above));
                }
                if !lists(&enabled, name) {
                    let enabled = self.hand_down(&directory, name);
                    enabled.map_err(|error| self.not_enabled(error, (above, path), write, &needing))?;
                }
            }
            self.hand_down_usual(&directory, &available, &enabled);
        }
        Ok(())
    }

    /// Enables the usual controllers, ignoring errors. In a cgroup that contains processes, such as the root of a
    /// container's cgroup namespace, domain controllers are rejected (EBUSY), and enabling threaded ones alone would
    /// make it and all cgroups below it threaded, so none is enabled there.
    fn hand_down_usual(&self, directory: &str, available: &str, enabled: &str) {
        let has_domain_controller = ["memory", "io"].iter().any(|name| lists(available, name));
        if !has_domain_controller
            && self.read(&format!("{directory}/cgroup.procs")).is_ok_and(|list| !list.is_empty())
        {
            return;
        }
        let missing = || USUAL.iter().filter(|name| lists(available, name) && !lists(enabled, name));
        let all = switched_on(missing().copied());
        // In one write if possible: each one takes the global cgroup locks.
        if all.is_empty() || self.control(directory, &all).is_ok() {
            return;
        }
        for name in missing() {
            match self.hand_down(directory, name) {
                Err(error) if error.is(Errno::BUSY) || error.is(Errno::OPNOTSUPP) => return,
                _ => {}
            }
        }
    }

    /// Enables a controller for the cgroups below `directory`.
    fn hand_down(&self, directory: &str, name: &str) -> Result<()> {
        self.control(directory, &format!("+{name}"))
    }

    /// Writes a change, `+NAME` or `-NAME`, to cgroup.subtree_control (cgroups(7)).
    fn control(&self, directory: &str, change: &str) -> Result<()> {
        let file = format!("{directory}/cgroup.subtree_control");
        let fd = self.open_to_write(&file)?;
        write(&fd, change.as_bytes()).map(drop).on(format_args!("write {change} to {}", FullPath(&file)))
    }
}

/// The text that enables controllers, for cgroup.subtree_control: `+cpu +io `.
pub fn switched_on<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("+{name} ")).collect()
}

/// Whether the content of `cgroup.controllers` or `cgroup.subtree_control` has a controller.
pub fn lists(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == name)
}
