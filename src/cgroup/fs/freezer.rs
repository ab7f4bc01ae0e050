//! The freezer, which stops all processes of a cgroup (v2: cgroup-v2.rst, cgroup.freeze; v1: freezer-subsystem.rst).

use alloc::format;
use alloc::string::String;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read, write};
use rustix::thread::sched_yield;

use super::events;
use super::hierarchies::Hierarchies;
use super::path::FullPath;
use super::path::ancestors;
use super::tree;
use crate::error::{Error, Kind, On, Result};

/// Whether a cgroup is frozen or being frozen, by its own freezer or that of a cgroup above. Each `state` calls this,
/// so the files of all layouts are tried, which is cheaper than to determine the layout. In the hybrid layout v2 has
/// a freezer too.
pub fn is_frozen(path: &str) -> Result<bool> {
    // cgroup.freeze is the cgroup's own setting, even if not all processes have stopped yet; cgroup.events the actual
    // state. It is not read for a cgroup directly below the root, above which there is no freezer.
    let events = (path.rfind('/') != Some(0)).then_some("cgroup.events");
    let v2 = || [Some("cgroup.freeze"), events].into_iter().flatten();
    if let Some(frozen) = is_any_frozen("", path, &mut v2())? {
        return Ok(frozen);
    }
    Ok(is_any_frozen("/unified", path, &mut v2())? == Some(true)
        || is_any_frozen("/freezer", path, &mut ["freezer.state"].into_iter())? == Some(true))
}

/// Whether one of these files of a cgroup contains the frozen state; `None` if there is no such cgroup.
fn is_any_frozen(hierarchy: &str, path: &str, names: &mut dyn Iterator<Item = &str>) -> Result<Option<bool>> {
    let mut is_there = None;
    for name in names {
        let file = format!("/sys/fs/cgroup{hierarchy}{path}/{name}");
        let mut space = [0u8; 256];
        let text = match openat(CWD, file.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => read(&fd, &mut space[..]),
            Err(errno) => Err(errno),
        };
        match text {
            // ENODEV: removed meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NODEV) => return Ok(is_there),
            text => {
                let count = text.on(format_args!("read {file}"))?;
                if is_frozen_state(space.get(..count).unwrap_or_default()) {
                    return Ok(Some(true));
                }
                is_there = Some(false);
            }
        }
    }
    Ok(is_there)
}

/// Whether the content of cgroup.freeze or cgroup.events (v2) or freezer.state (v1) is the frozen state. That of v1 is
/// the actual state, whether because of the cgroup's own freezer or one above.
fn is_frozen_state(text: &[u8]) -> bool {
    let frozen = |line: &[u8]| matches!(line, b"1" | b"frozen 1" | b"FROZEN" | b"FREEZING");
    text.split(|byte| *byte == b'\n').any(frozen)
}

impl Hierarchies {
    /// The freezer's file, and the values that thaw and freeze when they are written to it.
    fn freezer(&self, path: &str) -> Option<(String, [&'static str; 2])> {
        let v1 = self.v1.iter().any(|name| name == "freezer");
        match self.v2 {
            _ if v1 => Some((format!("freezer{path}/freezer.state"), ["THAWED", "FROZEN"])),
            Some(v2) => Some((format!("{v2}{path}/cgroup.freeze"), ["0", "1"])),
            None => None,
        }
    }

    /// The path of the directory with the freezer's file.
    #[cold]
    #[inline(never)]
    pub fn freezer_path(&self, path: &str) -> Option<String> {
        let (file, _) = self.freezer(path)?;
        file.rsplit_once('/').map(|(directory, _)| format!("{}", FullPath(directory)))
    }

    /// Freezes or thaws the cgroup without waiting, so that no process escapes a signal by forking. `false` if there is
    /// no freezer, or the cgroup is already frozen and so must not be thawed afterwards.
    pub fn freeze(&self, path: &str, on: bool) -> bool {
        !(on && is_frozen(path).unwrap_or(false)) && self.write_freezer(path, on).is_ok()
    }

    /// v1: thaws the cgroup, and those below it that the container has created and frozen, since frozen processes do
    /// not handle SIGKILL there.
    #[cold]
    #[inline(never)]
    pub fn thaw_to_kill(&self, path: &str) -> Result<()> {
        let Some(hierarchy) = self.v1_of("freezer") else { return Ok(()) };
        let thaw = &mut |directory: &OwnedFd| {
            let state = openat(directory, c"freezer.state", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            match state.and_then(|state| write(&state, b"THAWED")) {
                Ok(_) | Err(Errno::NOENT | Errno::NODEV) => Ok(()),
                Err(errno) => Err(Error::system(errno, format_args!("write THAWED to freezer.state"))),
            }
        };
        tree::walk(&self.root, &Self::path(hierarchy, path), thaw, &mut |_, _| Ok(()))
    }

    /// Checks that a cgroup is not frozen before processes join it: a process that is cloned into a frozen cgroup stops
    /// before its first instruction, and its parent would wait until it is thawed.
    pub fn must_run(&self, path: &str) -> Result<()> {
        let v2 = self.v2.map(|v2| format!("{v2}{path}/cgroup.events"));
        let v1 = self.v1_of("freezer").map(|v1| format!("{v1}{path}/freezer.state"));
        for file in v2.into_iter().chain(v1) {
            if is_frozen_state(self.read(&file)?.as_bytes()) {
                return Err(self.holds("processes cannot run in it", path));
            }
        }
        Ok(())
    }

    /// The file of the topmost freezer that keeps a cgroup frozen: its own or that of a cgroup above.
    #[cold]
    #[inline(never)]
    fn freezer_of(&self, path: &str) -> Option<String> {
        let v2 = self.v2.map(|v2| (v2, ["cgroup.freeze", "cgroup.freeze"]));
        let v1 = self.v1_of("freezer").map(|v1| (v1, ["freezer.self_freezing", "freezer.state"]));
        let files = ancestors(path).flat_map(|one| {
            v2.into_iter().chain(v1).map(move |(top, names)| names.map(|name| format!("{top}{one}/{name}")))
        });
        files.into_iter().find_map(|[own_state, file]| {
            self.read(&own_state).is_ok_and(|text| text.trim() == "1").then_some(file)
        })
    }

    /// Checks that processes that were sent SIGKILL can exit, which on v1 they cannot while a freezer holds them.
    pub fn must_thaw(&self, path: &str) -> Result<()> {
        let state = self.v1_of("freezer").and_then(|v1| self.read(&format!("{v1}{path}/freezer.state")).ok());
        match state.is_some_and(|state| is_frozen_state(state.as_bytes())) && self.freezer_of(path).is_some()
        {
            true => Err(self.holds("its processes were killed and exit when it is thawed", path)),
            false => Ok(()),
        }
    }

    /// The error that a cgroup is frozen, with the consequence `what` and the file by which it is frozen.
    #[cold]
    #[inline(never)]
    fn holds(&self, what: &str, path: &str) -> Error {
        let text = match self.freezer_of(path) {
            Some(file) => format!("frozen by {}", FullPath(&file)),
            None => String::from("frozen by a cgroup above the root of the cgroup namespace"),
        };
        Error::new(Kind::State, format_args!("cgroup {path}: {what}: {text}"))
    }

    /// Starts freezing or thawing, and returns the path of the file that was written.
    fn write_freezer(&self, path: &str, on: bool) -> Result<String> {
        let Some((file, values)) = self.freezer(path) else {
            return Err(Error::unsupported(format_args!(
                "no freezer: requires cgroup v2 or the v1 freezer hierarchy"
            )));
        };
        let value = values.get(usize::from(on)).copied().unwrap_or_default();
        let fd = self.open_to_write(&file)?;
        write(&fd, value.as_bytes()).on(format_args!("write {value} to {}", FullPath(&file)))?;
        Ok(file)
    }

    /// Freezes the cgroup and waits until all processes have stopped, or thaws it.
    ///
    /// Errors: a process cannot be frozen, after which the cgroup is thawed again; or a cgroup above is frozen.
    pub fn set_frozen(&self, path: &str, on: bool) -> Result<()> {
        let file = self.write_freezer(path, on)?;
        if !on {
            // Only the freezers of cgroups above are checked: its own takes effect later.
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            return match self.freezer_of(above) {
                None => Ok(()),
                Some(_) => Err(self.holds("it remains frozen until the cgroups above are thawed", path)),
            };
        }
        if self.wait_until_frozen(path, &file)? {
            return Ok(());
        }
        self.freeze(path, false);
        Err(Error::invalid(format_args!("cgroup {path}: some of its processes cannot be frozen")))
    }

    /// Waits until all processes have stopped; `false` if some do not. v2 reports this by an event on cgroup.events. v1
    /// has no events, and updates the state only when it is read: so it is read again, for a bounded number of times,
    /// yielding to the processes in between.
    fn wait_until_frozen(&self, path: &str, file: &str) -> Result<bool> {
        let v2 = self.v2.filter(|_| file.ends_with("cgroup.freeze"));
        let Some(v2) = v2 else {
            for _ in 0..10_000 {
                if self.read(file)?.trim() == "FROZEN" {
                    return Ok(true);
                }
                sched_yield();
            }
            return Ok(false);
        };
        let file = format!("{v2}{path}/cgroup.events");
        let fd = openat(&self.root, file.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {}", FullPath(&file)))?;
        // A process in uninterruptible sleep may never freeze, hence the timeout.
        events::wait_for(&fd, b"frozen 1", 10).on(format_args!("poll {}", FullPath(&file)))
    }
}
