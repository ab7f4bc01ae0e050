//! The directories of a cgroup in all mounted hierarchies: made, opened, removed.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, open, openat, unlinkat};
use rustix::io::{Errno, pread, read, write};
use rustix::process::{Pid, Signal};
use rustix::thread::sched_yield;

use super::write::Write;
use super::{Doors, tasks, tree};
use crate::error::{At, Error, On, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups};

/// /sys/fs/cgroup, and what is mounted in it.
pub struct Hierarchies {
    pub(super) root: OwnedFd,
    /// v1 hierarchies by their directories.
    pub(super) v1: Vec<String>,
    /// The v2 one's directory: `.` when it is the only one.
    pub(super) v2: Option<&'static str>,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Hierarchies {
    /// Opens the root of them all.
    pub fn open(layout: &Cgroups) -> Result<Self> {
        let root = open(CGROUP_ROOT, DIRECTORY, Mode::empty()).on(format_args!("openat /sys/fs/cgroup"))?;
        let (v1, v2) = match layout {
            Cgroups::None => (Vec::new(), None),
            Cgroups::Unified => (Vec::new(), Some(".")),
            Cgroups::Hierarchies { names, unified } => (names.clone(), unified.then_some("unified")),
        };
        Ok(Hierarchies { root, v1, v2 })
    }

    /// The directory's path in one hierarchy, from the root.
    pub(super) fn path(hierarchy: &str, path: &str) -> String {
        format!("{hierarchy}{path}")
    }

    /// All hierarchies, the v2 one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.v2.iter().copied().chain(self.v1.iter().map(String::as_str))
    }

    /// The v1 hierarchy of a controller, or of its own name.
    pub(super) fn v1_of(&self, controller: &str) -> Option<&str> {
        let has = |name: &&String| name.split(',').any(|one| one == controller);
        self.v1.iter().find(has).map(String::as_str)
    }

    /// Whether there is a cgroup of this path in a hierarchy.
    pub(super) fn has(&self, hierarchy: &str, path: &str) -> bool {
        openat(&self.root, Self::path(hierarchy, path), DIRECTORY, Mode::empty()).is_ok()
    }

    /// The v1 hierarchy of a controller, or the v2 one.
    pub(super) fn of(&self, controller: &str) -> Option<&str> {
        self.v1_of(controller).or(self.v2)
    }

    /// Makes the directories of `path`, with the controllers that `writes` need. `made` takes those that were
    /// not there before, for [`Hierarchies::undo`].
    pub fn create(&self, path: &str, writes: &[Write], made: &mut Vec<String>) -> Result<()> {
        for hierarchy in self.all() {
            self.make(hierarchy, path, writes, made).at(format_args!("cgroup {hierarchy}{path}"))?;
        }
        Ok(())
    }

    /// Removes what was made, as long as nobody is in it.
    pub fn undo(&self, made: &[String]) {
        for whole in made.iter().rev() {
            let _ = unlinkat(&self.root, whole.as_str(), AtFlags::REMOVEDIR);
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
                for (end, _) in path.match_indices('/').skip(1) {
                    match self.make_one(hierarchy, path.get(..end).unwrap_or_default(), made) {
                        Err(error) if error.is(Errno::EXIST) => {}
                        one => one?,
                    }
                }
                if v2 {
                    self.enable(path, writes)?;
                }
                self.make_one(hierarchy, path, made)
            }
            one => one,
        }
    }

    fn make_one(&self, hierarchy: &str, path: &str, made: &mut Vec<String>) -> Result<()> {
        let whole = Self::path(hierarchy, path);
        mkdirat(&self.root, whole.as_str(), Mode::from_raw_mode(0o755)).on(format_args!("mkdirat {path}"))?;
        made.push(whole);
        match hierarchy.split(',').any(|name| name == "cpuset") && self.v2 != Some(hierarchy) {
            true => self.copy_cpuset(hierarchy, path),
            false => Ok(()),
        }
    }

    /// Joining a cgroup that others are in would put them under this container's limits, and kill them
    /// with it (config-linux.md: "a non-empty cgroup").
    fn must_be_empty(&self, whole: &str) -> Result<()> {
        match tasks::all(&self.root, whole)?.len() {
            0 => Ok(()),
            count => Err(Error::invalid(format_args!("not empty: {count} processes are in it or below"))),
        }
    }

    /// cpuset(7): a new v1 cpuset has no CPUs and no memory nodes, and lets nobody in.
    fn copy_cpuset(&self, hierarchy: &str, path: &str) -> Result<()> {
        let (above, _) = path.rsplit_once('/').unwrap_or(("", path));
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = format!("{hierarchy}{path}/{file}");
            let text = self.read(&format!("{hierarchy}{above}/{file}"))?;
            let fd = self.open_to_write(&own)?;
            write(&fd, text.trim().as_bytes()).on(format_args!("write {} to {file}", text.trim()))?;
        }
        Ok(())
    }

    /// Opens what a process needs to join (see [`super::Cgroup::doors`]) at a path in each hierarchy.
    pub fn doors<'p>(&self, path: &dyn Fn(&str) -> &'p str, birth: bool) -> Result<Doors> {
        let mut doors = Doors::default();
        if let Some(v2) = self.v2 {
            let directory = Self::path(v2, path(v2));
            match birth {
                true => {
                    let fd = openat(&self.root, directory.as_str(), DIRECTORY, Mode::empty());
                    doors.birth = Some(fd.on(format_args!("openat {directory}"))?);
                }
                false => doors.files.push(self.open_to_write(&format!("{directory}/cgroup.procs"))?),
            }
        }
        // `tasks`, not `cgroup.procs`: for a process that moves only itself, and has one thread, the kernel
        // then takes no lock that all forks and exits of the machine wait for (linux 5.4).
        for hierarchy in &self.v1 {
            doors.files.push(self.open_to_write(&format!("{hierarchy}{}/tasks", path(hierarchy)))?);
        }
        Ok(doors)
    }

    /// Opens the v2 directory itself, for calls that do not take a mere path.
    pub fn open_v2(&self, path: &str) -> Result<OwnedFd> {
        let directory = Self::path(self.v2.unwrap_or("."), path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.root, directory.as_str(), flags, Mode::empty()).on(format_args!("openat {directory}"))
    }

    /// Opens a file of the cgroup in its controller's hierarchy, for writing.
    pub fn open_file(&self, path: &str, controller: &str, file: &str) -> Result<OwnedFd> {
        let Some(hierarchy) = self.of(controller) else {
            return Err(Error::invalid(format_args!("no {controller} controller on this host")));
        };
        self.open_to_write(&format!("{hierarchy}{path}/{file}"))
    }

    pub(super) fn open_to_write(&self, path: &str) -> Result<OwnedFd> {
        openat(&self.root, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {path}"))
    }

    pub(super) fn read(&self, path: &str) -> Result<String> {
        let fd = openat(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let fd = fd.on(format_args!("openat {path}"))?;
        let mut space = [0u8; 1024];
        let count = read(&fd, &mut space).on(format_args!("read {path}"))?;
        Ok(String::from_utf8_lossy(space.get(..count).unwrap_or_default()).to_string())
    }

    /// Removes the cgroup from every hierarchy. Processes still in it are killed.
    pub fn remove(&self, path: &str) -> Result<()> {
        let mut killed = false;
        for hierarchy in self.all() {
            let whole = Self::path(hierarchy, path);
            match self.remove_directory(&whole) {
                Err(error) if error.is(Errno::BUSY) && !killed => {
                    killed = true;
                    self.kill(path)?;
                    self.remove_directory(&whole)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes a cgroup that nobody is known to have entered, and kills nobody. A child of a mote that was killed
    /// may still be about to end by itself.
    pub fn remove_unentered(&self, path: &str) -> Result<()> {
        for hierarchy in self.all() {
            let whole = Self::path(hierarchy, path);
            if !tasks::wait_for_end(&self.root, &whole, 5)? {
                return Err(Error::invalid(format_args!(
                    "cgroup {whole}: processes of somebody else are in it"
                )));
            }
            self.remove_directory(&whole)?;
        }
        Ok(())
    }

    /// rmdir(2), after the directories below: the container may have made cgroups of its own in it.
    fn remove_directory(&self, whole: &str) -> Result<()> {
        match unlinkat(&self.root, whole, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            other => return other.on(format_args!("cgroup {whole}: rmdir")),
        }
        let (above, name) = whole.rsplit_once('/').unwrap_or((".", whole));
        let name = CString::new(name).unwrap_or_default();
        let remove = &mut |above: &OwnedFd, name: &CStr| match rmdir(above, name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            other => other.on(format_args!("cgroup {whole}: rmdir {}", Show(name))),
        };
        tree::walk(&self.root, whole, &mut |_| Ok(()), remove)?;
        let above = openat(&self.root, above, DIRECTORY, Mode::empty()).on(format_args!("openat {above}"))?;
        remove(&above, &name)
    }

    /// Kills everything in the cgroup and waits until it is gone. On v1 a frozen process does not take
    /// even SIGKILL, so it is thawed when the signal is there.
    fn kill(&self, path: &str) -> Result<()> {
        self.signal_all(path, Signal::KILL.as_raw())?;
        if self.is_frozen(path)? {
            self.freeze(path, false);
        }
        for hierarchy in self.all() {
            tasks::kill(&self.root, &Self::path(hierarchy, path))?;
        }
        Ok(())
    }

    /// Sends a signal to every process of the cgroup.
    pub fn signal_all(&self, path: &str, signal: i32) -> Result<()> {
        let Some(hierarchy) = self.all().next() else { return Ok(()) };
        let frozen = self.freeze(path, true);
        let sent = tasks::signal_tree(&self.root, &Self::path(hierarchy, path), signal);
        if frozen {
            self.freeze(path, false);
        }
        sent
    }

    /// The freezer's file: (name, the word for frozen, the word for not).
    fn freezer(&self, path: &str) -> Option<(String, [&'static str; 2])> {
        let v1 = self.v1.iter().any(|name| name == "freezer");
        match self.v2 {
            _ if v1 => Some((format!("freezer{path}/freezer.state"), ["THAWED", "FROZEN"])),
            Some(v2) => Some((format!("{v2}{path}/cgroup.freeze"), ["0", "1"])),
            None => None,
        }
    }

    /// So that no process can fork away from a signal. `false` where there is no freezer, or it was
    /// frozen already, and is to stay so.
    fn freeze(&self, path: &str, on: bool) -> bool {
        !(on && self.is_frozen(path).unwrap_or(false)) && self.write_freezer(path, on).is_ok()
    }

    /// Tells the freezer, by the file whose path is given back; it takes its time.
    fn write_freezer(&self, path: &str, on: bool) -> Result<String> {
        let Some((file, words)) = self.freezer(path) else {
            return Err(Error::unsupported(format_args!(
                "no freezer: cgroup v2 or its v1 hierarchy is needed"
            )));
        };
        let word = words.get(usize::from(on)).copied().unwrap_or_default();
        let fd = self.open_to_write(&file)?;
        write(&fd, word.as_bytes()).on(format_args!("write {word} to {file}"))?;
        Ok(file)
    }

    /// Freezes the cgroup and comes back when nothing runs in it, or thaws it. When it fails, it is thawed.
    pub fn set_frozen(&self, path: &str, on: bool) -> Result<()> {
        let file = self.write_freezer(path, on)?;
        if !on || self.wait_until_frozen(path, &file)? {
            return Ok(());
        }
        self.freeze(path, false);
        Err(Error::invalid(format_args!("cgroup {path}: some of its processes cannot be frozen")))
    }

    /// v2 tells by an event on cgroup.events. v1 tells nobody, and looks only when it is asked: so it is asked,
    /// while its processes are let run to where they stop, for a bounded number of times.
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
        let events = format!("{v2}{path}/cgroup.events");
        let fd = openat(&self.root, events.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {events}"))?;
        loop {
            let mut space = [0u8; 256];
            let count = pread(&fd, &mut space, 0).on(format_args!("read {events}"))?;
            let text = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
            if text.lines().any(|line| line == "frozen 1") {
                return Ok(true);
            }
            // A process in uninterruptible sleep may keep it waiting for ever.
            let mut fds = [PollFd::new(&fd, PollFlags::PRI)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::system(errno, format_args!("poll {events}"))),
            }
        }
    }

    /// Every process in the cgroup and below.
    pub fn processes(&self, path: &str) -> Result<Vec<Pid>> {
        match self.all().next() {
            Some(hierarchy) => tasks::all(&self.root, &Self::path(hierarchy, path)),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the freezer holds its processes, or is about to.
    pub fn is_frozen(&self, path: &str) -> Result<bool> {
        let Some((file, _)) = self.freezer(path) else { return Ok(false) };
        match self.read(&file) {
            Ok(text) => Ok(matches!(text.trim(), "1" | "FROZEN" | "FREEZING")),
            Err(error) if error.is(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A process leaves its cgroup when it is switched out for the last time, a moment after its parent has heard of
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
