//! The directories of a cgroup in all mounted hierarchies: creating, opening and removing them.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, open, openat, unlinkat};
use rustix::io::{Errno, read, write};
use rustix::process::{Pid, Signal};
use rustix::thread::sched_yield;

use super::path::{FORCE_V1, FullPath, ancestors};
use super::{tasks, tree};
use crate::cgroup::controllers::write::Write;
use crate::error::{At, Error, On, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups, has_named};
use crate::os::process;

/// The mounted hierarchies below /sys/fs/cgroup.
pub struct Hierarchies {
    pub root: OwnedFd,
    /// The directories of the v1 hierarchies: `cpu,cpuacct`.
    pub v1: Vec<String>,
    /// The directory of the v2 hierarchy: `.` if it is mounted at /sys/fs/cgroup itself.
    pub v2: Option<&'static str>,
}

#[cold]
fn not_mounted() -> Error {
    let path = "/sys/fs/cgroup/systemd";
    Error::invalid(format_args!("{FORCE_V1}: the cgroup v1 hierarchy name=systemd is not mounted at {path}"))
}

pub const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Hierarchies {
    /// Opens /sys/fs/cgroup.
    pub fn open(layout: &Cgroups) -> Result<Self> {
        let root = open(CGROUP_ROOT, DIRECTORY, Mode::empty()).on(format_args!("openat /sys/fs/cgroup"))?;
        let (v1, v2) = match layout {
            Cgroups::None => (Vec::new(), None),
            Cgroups::Unified => (Vec::new(), Some(".")),
            // Without the mount, the directory would be a v2 cgroup.
            Cgroups::Named if !has_named() => return Err(not_mounted()),
            Cgroups::Named => (Vec::from(["systemd".into()]), Some(".")),
            Cgroups::Hierarchies { names, unified } => (names.clone(), unified.then_some("unified")),
        };
        Ok(Hierarchies { root, v1, v2 })
    }

    /// The path of a cgroup's directory in a hierarchy, relative to /sys/fs/cgroup.
    pub fn path(hierarchy: &str, path: &str) -> String {
        format!("{hierarchy}{path}")
    }

    /// All hierarchies, the v2 one first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.v2.iter().copied().chain(self.v1.iter().map(String::as_str))
    }

    /// The v1 hierarchy of a controller, or the named v1 hierarchy of this name.
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

    /// Creates the directories of `path`, and enables the controllers that `writes` need. Directories that did not
    /// exist are added to `made`, for [`Hierarchies::undo`].
    ///
    /// Errors: the cgroup exists and contains processes.
    pub fn create(&self, path: &str, writes: &[Write], made: &mut Vec<String>) -> Result<()> {
        self.all().try_for_each(|hierarchy| self.make(hierarchy, path, writes, made))
    }

    /// Removes directories that were created. Those that contain processes remain.
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
        let made_one = match self.make_one(hierarchy, path, made) {
            Err(error) if error.is(Errno::EXIST) => self.must_be_empty(&Self::path(hierarchy, path)),
            Err(error) if error.is(Errno::NOENT) => {
                let above = path.rsplit_once('/').map_or("", |(above, _)| above);
                self.make_all(hierarchy, above, made).at(format_args!("cgroup {path}"))?;
                if v2 {
                    self.enable(path, writes)?;
                }
                self.make_one(hierarchy, path, made)
            }
            one => one,
        };
        made_one.at(format_args!("cgroup {path}"))
    }

    /// Creates all directories of a path that do not exist.
    pub fn make_all(&self, hierarchy: &str, path: &str, made: &mut Vec<String>) -> Result<()> {
        for one in ancestors(path) {
            match self.make_one(hierarchy, one, made) {
                Err(error) if error.is(Errno::EXIST) => {}
                one => one?,
            }
        }
        Ok(())
    }

    /// Makes the cgroups of a path threaded whose type is `domain invalid`, as it is below a threaded cgroup. Returns
    /// whether there were any.
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

    /// Checks that an existing cgroup contains no processes: they would be subject to this container's limits, and be
    /// killed with it (config-linux.md: "a non-empty cgroup").
    fn must_be_empty(&self, full_path: &str) -> Result<()> {
        match tasks::all(&self.root, full_path)?.len() {
            0 => Ok(()),
            count => {
                let full_path = FullPath(full_path);
                Err(Error::invalid(format_args!("not empty: {count} processes are in {full_path} or below")))
            }
        }
    }

    /// Copies CPUs and memory nodes from the v1 cpuset above: a new one is empty, and no process can join it
    /// (cpuset(7)). Cpusets above that are still empty are filled as well.
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

    /// Opens the v2 directory without O_PATH, for calls that need that.
    pub fn open_v2(&self, path: &str) -> Result<OwnedFd> {
        let directory = Self::path(self.v2.unwrap_or("."), path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, directory.as_str(), flags, Mode::empty())
            .on(format_args!("openat {}", FullPath(&directory)))
    }

    /// Opens a file of the cgroup in its controller's hierarchy, for writing. Errors: the controller is missing.
    pub fn open_file(&self, path: &str, controller: &str, file: &str) -> Result<OwnedFd> {
        let Some(hierarchy) = self.of(controller) else {
            return Err(Error::invalid(format_args!("no {controller} controller on this host")));
        };
        self.open_to_write(&format!("{hierarchy}{path}/{file}"))
    }

    /// Opens a file for writing, by its path relative to /sys/fs/cgroup.
    pub fn open_to_write(&self, path: &str) -> Result<OwnedFd> {
        openat(&self.root, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {}", FullPath(path)))
    }

    /// Reads at most 1024 bytes of a file, by its path relative to /sys/fs/cgroup.
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

    /// Removes the cgroup from a hierarchy; while it contains processes, `end` is called to end them. This is repeated,
    /// since a process may join after the others have exited: a process of a killed mote may have begun to write to
    /// cgroup.procs, and that write completes even if the process was killed.
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

    /// Removes a cgroup that no process of the container is known to have joined, without killing processes. A child of
    /// a killed mote may still be exiting, so it waits up to 5 seconds for each.
    ///
    /// Errors: processes remain in it.
    pub fn remove_unentered(&self, path: &str) -> Result<()> {
        let ended = |full_path: &str| match tasks::wait_for_end(&self.root, full_path, 5)? {
            true => Ok(()),
            false => {
                let why = format_args!("cgroup {path}: {} contains other processes", FullPath(full_path));
                Err(Error::invalid(why))
            }
        };
        let removed = |hierarchy| {
            let full_path = Self::path(hierarchy, path);
            self.remove_left(hierarchy, path, &mut || ended(&full_path))
        };
        self.all().try_for_each(removed)
    }

    /// Removes a directory by rmdir(2), after those below it, which the container may have created.
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
            // systemd removes the whole scope as soon as its last process has exited.
            Err(Errno::NOENT) => Ok(()),
            directory => remove(&directory.on(format_args!("openat {}", FullPath(above)))?, &name),
        }
    }

    /// Kills all processes in the cgroup and waits until they have exited.
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
        // cgroup.kill needs no freezing; thawing may take longer than freezing on v1.
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

    /// All processes in the cgroup and below.
    pub fn processes(&self, path: &str) -> Result<Vec<Pid>> {
        match self.all().next() {
            Some(hierarchy) => {
                let list = tasks::all(&self.root, &Self::path(hierarchy, path))?.into_iter();
                let opened = list.map(|pid| Ok(process::open(pid)?.map(|_| pid)));
                opened.filter_map(Result::transpose).collect()
            }
            None => Ok(Vec::new()),
        }
    }
}

/// rmdir(2) of a cgroup, repeated while it is busy without containing a process. A process leaves its cgroup when it is
/// descheduled for the last time, slightly after its parent is notified of its exit (longer since linux 6.18), and v1
/// has no event for that. The retries yield to other processes, and their number is bounded. On a busy machine, or if other
/// threads of the process have to exit first, they may not suffice: then v2 waits for its event.
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
    tasks::wait_until_unpopulated(&openat(above, name, DIRECTORY, Mode::empty())?)?;
    unlinkat(above, name, AtFlags::REMOVEDIR)
}
