//! The directories of a cgroup in all mounted hierarchies: made, opened, removed.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, open, openat, unlinkat};
use rustix::io::{Errno, read, write};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use rustix::thread::sched_yield;

use super::path::{FORCE_V1, FullPath, ancestors};
use super::{tasks, tree};
use crate::cgroup::controllers::write::Write;
use crate::error::{At, Error, On, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups, has_named};

/// /sys/fs/cgroup, and what is mounted in it.
pub struct Hierarchies {
    pub root: OwnedFd,
    /// v1 hierarchies by their directories.
    pub v1: Vec<String>,
    /// The v2 one's directory: `.` when it is the only one.
    pub v2: Option<&'static str>,
}

#[cold]
fn not_mounted() -> Error {
    let path = "/sys/fs/cgroup/systemd";
    Error::invalid(format_args!("{FORCE_V1}: the cgroup v1 hierarchy name=systemd is not mounted at {path}"))
}

pub const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Hierarchies {
    /// Opens the root of them all.
    pub fn open(layout: &Cgroups) -> Result<Self> {
        let root = open(CGROUP_ROOT, DIRECTORY, Mode::empty()).on(format_args!("openat /sys/fs/cgroup"))?;
        let (v1, v2) = match layout {
            Cgroups::None => (Vec::new(), None),
            Cgroups::Unified => (Vec::new(), Some(".")),
            // What is below v2's root is a cgroup of that otherwise.
            Cgroups::Named if !has_named() => return Err(not_mounted()),
            Cgroups::Named => (Vec::from(["systemd".into()]), Some(".")),
            Cgroups::Hierarchies { names, unified } => (names.clone(), unified.then_some("unified")),
        };
        Ok(Hierarchies { root, v1, v2 })
    }

    /// The directory's path in one hierarchy, from the root.
    pub fn path(hierarchy: &str, path: &str) -> String {
        format!("{hierarchy}{path}")
    }

    /// All hierarchies, the v2 one first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.v2.iter().copied().chain(self.v1.iter().map(String::as_str))
    }

    /// The v1 hierarchy of a controller, or of its own name.
    pub fn v1_of(&self, controller: &str) -> Option<&str> {
        let has = |name: &&String| name.split(',').any(|one| one == controller);
        self.v1.iter().find(has).map(String::as_str)
    }

    /// Whether there is a cgroup of this path in a hierarchy.
    pub fn has(&self, hierarchy: &str, path: &str) -> bool {
        openat(&self.root, Self::path(hierarchy, path), DIRECTORY, Mode::empty()).is_ok()
    }

    /// The v1 hierarchy of a controller, or the v2 one.
    pub fn of(&self, controller: &str) -> Option<&str> {
        self.v1_of(controller).or(self.v2)
    }

    /// Makes the directories of `path`, with the controllers that `writes` need. `made` takes those that were
    /// not there before, for [`Hierarchies::undo`].
    pub fn create(&self, path: &str, writes: &[Write], made: &mut Vec<String>) -> Result<()> {
        for hierarchy in self.all() {
            self.make(hierarchy, path, writes, made).at(format_args!("cgroup {path}"))?;
        }
        Ok(())
    }

    /// Removes what was made, as long as nobody is in it.
    pub fn undo(&self, made: &[String]) {
        for full_path in made.iter().rev() {
            let _ = unlinkat(&self.root, full_path.as_str(), AtFlags::REMOVEDIR);
        }
    }

    fn make(&self, hierarchy: &str, path: &str, writes: &[Write], made: &mut Vec<String>) -> Result<()> {
        let v2 = self.v2 == Some(hierarchy);
        if v2 {
            self.enable(path, writes)?;
        }
        match self.make_one(hierarchy, path, made) {
            Err(error) if error.is(Errno::EXIST) => self.must_be_empty(&Self::path(hierarchy, path)),
            Err(error) if error.is(Errno::NOENT) => {
                let above = path.rsplit_once('/').map_or("", |(above, _)| above);
                self.make_all(hierarchy, above, made)?;
                if v2 {
                    self.enable(path, writes)?;
                }
                self.make_one(hierarchy, path, made)
            }
            one => one,
        }
    }

    /// Makes what is not there of the directories of a path.
    pub fn make_all(&self, hierarchy: &str, path: &str, made: &mut Vec<String>) -> Result<()> {
        for one in ancestors(path) {
            match self.make_one(hierarchy, one, made) {
                Err(error) if error.is(Errno::EXIST) => {}
                one => one?,
            }
        }
        Ok(())
    }

    /// Makes those of a path threaded that are invalid below a threaded one.
    #[cold]
    #[inline(never)]
    pub fn make_threaded(&self, path: &str) -> Result<bool> {
        let Some(v2) = self.v2 else { return Ok(false) };
        let mut any = false;
        for one in ancestors(path) {
            let kind = format!("{v2}{one}/cgroup.type");
            if self.read(&kind)?.trim() == "domain invalid" {
                let fd = self.open_to_write(&kind)?;
                write(&fd, b"threaded").on(format_args!("write threaded to {}", FullPath(&kind)))?;
                any = true;
            }
        }
        Ok(any)
    }

    fn make_one(&self, hierarchy: &str, path: &str, made: &mut Vec<String>) -> Result<()> {
        let full_path = Self::path(hierarchy, path);
        let one = mkdirat(&self.root, full_path.as_str(), Mode::from_raw_mode(0o755));
        let is_new = one.is_ok();
        let is_there = is_new || one == Err(Errno::EXIST);
        let one = one.on(format_args!("mkdirat {}", FullPath(&full_path)));
        if is_new {
            made.push(full_path);
        }
        if is_there && self.v1_of("cpuset") == Some(hierarchy) {
            self.fill_cpuset(hierarchy, path, is_new)?;
        }
        one
    }

    /// Joining a cgroup that others are in would put them under this container's limits, and kill them
    /// with it (config-linux.md: "a non-empty cgroup").
    fn must_be_empty(&self, full_path: &str) -> Result<()> {
        match tasks::all(&self.root, full_path)?.len() {
            0 => Ok(()),
            count => {
                let full_path = FullPath(full_path);
                Err(Error::invalid(format_args!("not empty: {count} processes are in {full_path} or below")))
            }
        }
    }

    /// cpuset(7): a new v1 cpuset has no CPUs and no memory nodes, and lets nobody in. It gets those of the one above,
    /// and so do those above that somebody has left as they were made.
    fn fill_cpuset(&self, hierarchy: &str, path: &str, is_new: bool) -> Result<()> {
        let text = |path: &str, file| self.read(&format!("{hierarchy}{path}/{file}"));
        let copy = |path: &str, file, text: &str| {
            let own = format!("{hierarchy}{path}/{file}");
            let fd = self.open_to_write(&own)?;
            write(&fd, text.as_bytes()).map(drop).on(format_args!("write {text} to {}", FullPath(&own)))
        };
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !is_new && !text(path, file)?.trim().is_empty() {
                continue;
            }
            let mut given = text(above, file)?;
            if given.trim().is_empty() {
                given = text("", file)?;
                for one in ancestors(above) {
                    match text(one, file)? {
                        own if own.trim().is_empty() => copy(one, file, given.trim())?,
                        own => given = own,
                    }
                }
            }
            copy(path, file, given.trim())?;
        }
        Ok(())
    }

    /// Opens the v2 directory itself, for calls that do not take a mere path.
    pub fn open_v2(&self, path: &str) -> Result<OwnedFd> {
        let directory = Self::path(self.v2.unwrap_or("."), path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, directory.as_str(), flags, Mode::empty())
            .on(format_args!("openat {}", FullPath(&directory)))
    }

    /// Opens a file of the cgroup in its controller's hierarchy, for writing.
    pub fn open_file(&self, path: &str, controller: &str, file: &str) -> Result<OwnedFd> {
        let Some(hierarchy) = self.of(controller) else {
            return Err(Error::invalid(format_args!("no {controller} controller on this host")));
        };
        self.open_to_write(&format!("{hierarchy}{path}/{file}"))
    }

    pub fn open_to_write(&self, path: &str) -> Result<OwnedFd> {
        openat(&self.root, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {}", FullPath(path)))
    }

    pub fn read(&self, path: &str) -> Result<String> {
        let fd = openat(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let fd = fd.on(format_args!("openat {}", FullPath(path)))?;
        let mut space = [0u8; 1024];
        let count = read(&fd, &mut space).on(format_args!("read {}", FullPath(path)))?;
        Ok(String::from_utf8_lossy(space.get(..count).unwrap_or_default()).to_string())
    }

    /// Removes the cgroup from every hierarchy. Processes still in it are killed.
    pub fn remove(&self, path: &str) -> Result<()> {
        let removed = |hierarchy| self.remove_left(hierarchy, path, &mut || self.kill(path));
        self.all().try_for_each(removed)
    }

    /// Removes it from a hierarchy; while somebody is in it, `end` is to see to their end. One more may come when the
    /// others have gone: a process of a mote that was killed may have been on its way in, and a write to cgroup.procs that
    /// has begun comes to its end, also for one that was killed.
    fn remove_left(&self, hierarchy: &str, path: &str, end: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        const ROUNDS: u32 = 10;
        let full_path = Self::path(hierarchy, path);
        for _ in 0..ROUNDS {
            match self.remove_directory(&full_path) {
                Err(error) if error.is(Errno::BUSY) => end()?,
                other => return other,
            }
        }
        self.remove_directory(&full_path)
    }

    /// Removes a cgroup that nobody is known to have entered, and kills nobody. A child of a mote that was killed
    /// may still be about to end by itself.
    pub fn remove_unentered(&self, path: &str) -> Result<()> {
        let ended = |full_path: &str| match tasks::wait_for_end(&self.root, full_path, 5)? {
            true => Ok(()),
            false => {
                let why =
                    format_args!("cgroup {path}: processes of somebody else are in {}", FullPath(full_path));
                Err(Error::invalid(why))
            }
        };
        let removed = |hierarchy| {
            let full_path = Self::path(hierarchy, path);
            self.remove_left(hierarchy, path, &mut || ended(&full_path))
        };
        self.all().try_for_each(removed)
    }

    /// rmdir(2), after the directories below: the container may have made cgroups of its own in it.
    fn remove_directory(&self, full_path: &str) -> Result<()> {
        match unlinkat(&self.root, full_path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            other => return other.on(format_args!("rmdir {}", FullPath(full_path))),
        }
        let (above, name) = full_path.rsplit_once('/').unwrap_or((".", full_path));
        let name = CString::new(name).unwrap_or_default();
        let remove = &mut |above: &OwnedFd, name: &CStr| match rmdir(above, name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            other => other.on(format_args!("rmdir {} in or below {}", Show(name), FullPath(full_path))),
        };
        tree::walk(&self.root, full_path, &mut |_| Ok(()), remove)?;
        match openat(&self.root, above, DIRECTORY, Mode::empty()) {
            // systemd removes a whole scope as soon as its last process has ended.
            Err(Errno::NOENT) => Ok(()),
            directory => remove(&directory.on(format_args!("openat {}", FullPath(above)))?, &name),
        }
    }

    /// Kills everything in the cgroup and waits until it is gone.
    fn kill(&self, path: &str) -> Result<()> {
        self.signal_all(path, Signal::KILL.as_raw())?;
        self.must_thaw(path)?;
        for hierarchy in self.all() {
            tasks::kill(&self.root, &Self::path(hierarchy, path))?;
        }
        Ok(())
    }

    /// Sends a signal to every process of the cgroup.
    pub fn signal_all(&self, path: &str, signal: i32) -> Result<()> {
        let Some(hierarchy) = self.all().next() else { return Ok(()) };
        let full_path = Self::path(hierarchy, path);
        let kills = signal == Signal::KILL.as_raw();
        // Then nothing has to be frozen, which the freezer of v1 may take longer to undo than to do.
        if kills && tasks::kill_at_once(&self.root, &full_path) {
            return self.thaw_to_kill(path);
        }
        let frozen = self.freeze(path, true);
        let sent = tasks::signal_tree(&self.root, &full_path, signal);
        if frozen {
            self.freeze(path, false);
        }
        if kills {
            self.thaw_to_kill(path)?;
        }
        sent
    }

    /// Every process in the cgroup and below.
    pub fn processes(&self, path: &str) -> Result<Vec<Pid>> {
        match self.all().next() {
            Some(hierarchy) => {
                let mut list = tasks::all(&self.root, &Self::path(hierarchy, path))?;
                list.retain(|process| pidfd_open(*process, PidfdFlags::empty()).is_ok());
                Ok(list)
            }
            None => Ok(Vec::new()),
        }
    }
}

/// A process leaves its cgroup when it is switched out for the last time, a moment after its parent has been notified of
/// its end (linux 6.18 made that moment longer), and nothing tells of it on v1; so a cgroup that is busy
/// though nobody is in it is tried again while other processes are let run, for a bounded number of times.
fn rmdir(above: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    for _ in 0..200 {
        match unlinkat(above, name, AtFlags::REMOVEDIR) {
            Err(Errno::BUSY) => {
                let directory = openat(above, name, DIRECTORY, Mode::empty())?;
                if !tasks::is_empty(&directory) {
                    return Err(Errno::BUSY);
                }
                sched_yield();
            }
            other => return other,
        }
    }
    Err(Errno::BUSY)
}
