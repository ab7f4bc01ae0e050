//! Controllers of cgroup v2, handed down to where they are needed (cgroup-v2.rst, "Controlling Controllers").

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::io::{Errno, write};

use super::hierarchies::Hierarchies;
use super::path::FullPath;
use crate::cgroup::controllers::write::{IfMissing, Write};
use crate::error::{At, Error, On, Result};

/// What whoever reads statistics expects; first those that control whole processes, not threads (cgroup-v2.rst,
/// "Threads").
const USUAL: [&str; 5] = ["memory", "io", "cpuset", "cpu", "pids"];

impl Hierarchies {
    /// A controller works in a cgroup when every cgroup above hands it down. Those that limits need must be; the
    /// usual ones should be.
    pub fn enable(&self, path: &str, writes: &[Write]) -> Result<()> {
        let Some(hierarchy) = self.v2 else { return Ok(()) };
        // One write for each controller. Files of `cgroup` are there without one.
        let mut needing: Vec<&Write> = Vec::new();
        for write in writes {
            let name = write.controller();
            match needing.iter_mut().find(|other| other.controller() == name) {
                // Errors name a limit that needs the controller, not one that could be done without.
                Some(other) if other.if_missing == IfMissing::Ignore => *other = write,
                Some(_) => {}
                None if name != "cgroup" && self.of(name) == Some(hierarchy) => needing.push(write),
                None => {}
            }
        }
        // Beside v1 hierarchies it has the leftovers, if any.
        if !self.v1.is_empty() && needing.is_empty() {
            return Ok(());
        }
        for (end, _) in path.match_indices('/') {
            let above = path.get(..end).unwrap_or_default();
            let directory = Self::path(hierarchy, above);
            let Ok(available) = self.read(&format!("{directory}/cgroup.controllers")) else { return Ok(()) };
            let enabled = self.read(&format!("{directory}/cgroup.subtree_control"))?;
            for write in &needing {
                let (field, name) = (write.field, write.controller());
                if !lists(&available, name) {
                    return Err(self.missing(write, above));
                }
                if !lists(&enabled, name) {
                    let handed = self.hand_down(&directory, name).map_err(|error| explain(error, above));
                    handed.at(format_args!("linux.resources.{field}"))?;
                }
            }
            self.hand_down_usual(&directory, &available, &enabled);
        }
        Ok(())
    }

    /// As far as it goes. A cgroup in which processes are is to stay what it is: there the first is refused, and the
    /// others would make it, and all below it, threaded. Such is the root that a container sees of itself.
    fn hand_down_usual(&self, directory: &str, available: &str, enabled: &str) {
        let whole = ["memory", "io"].iter().any(|name| lists(available, name));
        if !whole && self.read(&format!("{directory}/cgroup.procs")).is_ok_and(|list| !list.is_empty()) {
            return;
        }
        let missing = || USUAL.iter().filter(|name| lists(available, name) && !lists(enabled, name));
        let all = switched_on(missing().copied());
        // At once where that goes: each write stops the world of cgroups.
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

    fn hand_down(&self, directory: &str, name: &str) -> Result<()> {
        self.control(directory, &format!("+{name}"))
    }

    fn control(&self, directory: &str, words: &str) -> Result<()> {
        let file = format!("{directory}/cgroup.subtree_control");
        let fd = self.open_to_write(&file)?;
        write(&fd, words.as_bytes()).map(drop).on(format_args!("write {words} to {}", FullPath(&file)))
    }

    /// A limit needs a controller that a cgroup above has not. The root has what v1 hierarchies leave, or what is
    /// handed down to a container's cgroup namespace.
    #[cold]
    #[inline(never)]
    fn missing(&self, write: &Write, above: &str) -> Error {
        let (field, name) = (write.field, write.controller());
        let why = match above {
            "" if self.v1.is_empty() => {
                ": a cgroup v1 hierarchy has it, the kernel has none, or it is not handed down"
            }
            "" => ": nor is a cgroup v1 hierarchy with it mounted",
            _ => "",
        };
        let above = if above.is_empty() { "/" } else { above };
        Error::invalid(format_args!("linux.resources.{field}: no {name} controller in cgroup {above}{why}"))
    }
}

/// Why a cgroup does not hand a controller down.
#[cold]
#[inline(never)]
fn explain(error: Error, above: &str) -> Error {
    match error {
        error if error.is(Errno::BUSY) => error.within(format_args!(
            "cgroup {above} hands no controllers down while processes are in it (cgroups(7), \"no internal processes\")"
        )),
        error if error.is(Errno::OPNOTSUPP) => {
            error.within(format_args!("cgroup {above} is threaded, and has only controllers of threads"))
        }
        error => error,
    }
}

/// In the words of cgroup.subtree_control.
pub fn switched_on<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("+{name} ")).collect()
}

fn lists(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == name)
}
