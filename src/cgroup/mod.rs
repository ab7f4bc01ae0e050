//! Control groups (cgroups(7); config-linux.md, "Control groups"); those that systemd makes are in `systemd/`.
//!
//! A container has one cgroup of the same path in every hierarchy that is mounted. Limits are written
//! before anybody is in it: lowering a limit below what is in use fails or kills. Who joins, and when, is
//! decided here ([`Join`]); the parent opens, the child writes.

mod block;
mod subtree_control;
mod cpu;
pub mod delegation;
pub mod program;
pub mod hierarchies;
mod fds;
pub mod freezer;
mod hugetlb;
mod join;
pub mod manager;
mod memory;
mod network;
pub mod oom;
pub mod current;
pub mod path;
pub mod placement;
mod rdma;
pub mod rules;
pub mod stat;
pub mod systemd;
pub mod tasks;
pub mod tree;
mod unified;
pub mod update;
pub mod write;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io;
use rustix::process::Pid;

use crate::config::Config;
use crate::config::device::DeviceRule;
use crate::config::resources::SMALLEST_MEMORY;
use crate::error::{At, Error, Kind, Result};
use crate::host::{self, Cgroups};
use delegation::Delegation;
use hierarchies::Hierarchies;
pub use fds::CgroupFds;
pub use join::JoinTime;
use placement::Placement;
use systemd::placeholder::Placeholder;
use systemd::{AttachVia, Scope};
use write::{IfMissing, Write};

/// What asks for [`Cgroups::Named`], in errors.
pub const FORCE_V1: &str = "annotations.run.oci.systemd.force_cgroup_v1";

/// The cgroup and its limits.
#[derive(Debug)]
pub struct Plan {
    /// `/a/b`, below the hierarchies' roots.
    pub path: String,
    pub layout: Cgroups,
    writes: Vec<Write>,
    /// Where v2 has the say about devices.
    devices: Option<program::DeviceProgram>,
    join: JoinTime,
    /// Nothing was asked of it: who may not have one does without.
    optional: bool,
    /// What systemd is asked for.
    pub scope: Option<Box<Scope>>,
    delegation: Option<Box<Delegation>>,
}

impl Plan {
    /// Decides path, writes and way of joining; `None` when cgroups are left alone ([`Placement::Disabled`]) or the
    /// host has none.
    pub fn new(
        config: &Config<'_>,
        id: &str,
        (placement, delegation): (&Placement, Option<Box<Delegation>>),
        layout: &Cgroups,
    ) -> Result<Option<Self>> {
        let linux = &config.linux;
        if let Placement::Disabled = placement {
            return Ok(None);
        }
        let mut writes = write::plan(&linux.resources, layout)?;
        if matches!(layout, Cgroups::None) {
            return match writes.is_empty() && linux.resources.devices.is_empty() {
                true => Ok(None),
                false => Err(Error::invalid(format_args!("linux.resources: no cgroups at /sys/fs/cgroup"))),
            };
        }
        if let Some(limit) = linux.resources.memory.limit.filter(|limit| (1..SMALLEST_MEMORY).contains(limit))
        {
            return Err(Error::invalid(format_args!(
                "linux.resources.memory.limit: {limit} is below {}, with which a container may not start",
                SMALLEST_MEMORY
            )));
        }
        let optional = linux.cgroups_path.is_none() && writes.is_empty() && !matches!(layout, Cgroups::Named);
        let devices = plan_devices(&linux.resources.devices, None, layout, &mut writes)?;
        let mut join = JoinTime::of(&linux.resources);
        let mut scope = None;
        let path = match placement {
            Placement::Systemd(place) => {
                let (planned, path) = Scope::plan(config, id, place, &writes)?;
                scope = Some(Box::new(planned));
                join = join.with_placeholder(linux.resources.pids);
                path
            }
            Placement::Below(above) => format!("{above}{}", path::plan(linux.cgroups_path, id)?),
            Placement::Root | Placement::Disabled => path::plan(linux.cgroups_path, id)?,
        };
        Ok(Some(Plan { path, layout: layout.clone(), writes, devices, join, optional, scope, delegation }))
    }

    /// Makes the directories and writes the limits. `None`: not allowed, and not needed, of which `warnings` hears. What
    /// was made is removed again when it fails.
    pub fn create(&self, warnings: &mut Vec<Error>) -> Result<Option<Cgroup>> {
        let hierarchies = Hierarchies::open(&self.layout)?;
        let cgroup = Cgroup::new(hierarchies, &self.path);
        let mut made = Vec::new();
        let created = cgroup.hierarchies.create(&self.path, &self.writes, &mut made);
        let limited = created.and_then(|()| cgroup.write(&self.writes, None));
        match limited.and_then(|()| self.finish(&cgroup, &mut made)) {
            Ok(()) => Ok(Some(cgroup)),
            Err(error) => {
                // Not what was there before, with whoever is in it.
                cgroup.hierarchies.undo(&made);
                // Rules of devices are no user's to load, but an administrator's are wanted.
                let useless =
                    || !host::is_administrator() || error.is(io::Errno::ROFS) && self.devices.is_none();
                match self.optional && is_denied(&error) && useless() {
                    true => {
                        warnings
                            .push(error.within(format_args!("the container has no cgroup")).of(Kind::Remark));
                        Ok(None)
                    }
                    false => Err(error),
                }
            }
        }
    }

    /// The last steps to a cgroup that is as it shall be.
    fn finish(&self, cgroup: &Cgroup, made: &mut Vec<String>) -> Result<()> {
        // The root is never frozen, nor what was just made right below it.
        let is_new = made.len() == cgroup.hierarchies.all().count();
        if !is_new || self.path.rfind('/') != Some(0) {
            cgroup.hierarchies.must_run(&self.path)?;
        }
        cgroup.attach_devices(self.devices.as_ref())?;
        match &self.delegation {
            Some(delegation) => delegation.apply(&cgroup.hierarchies, &self.path, made),
            None => Ok(()),
        }
    }

    /// Opens what a process needs to join (see [`Cgroup::fds`]), and to go on to the cgroup below that is its own.
    pub fn open_fds(&self, cgroup: &Cgroup, at_clone: bool) -> Result<CgroupFds> {
        let mut fds = cgroup.open_fds(at_clone)?;
        if let Some(delegation) = &self.delegation {
            fds.sub_cgroup = delegation.open_sub_cgroup(&cgroup.hierarchies, &self.path)?;
        }
        Ok(fds)
    }

    /// Whether memory may run out in it.
    pub fn limits_memory(&self) -> bool {
        self.writes.iter().any(|write| write.controller() == "memory")
    }

    /// Whether the container's process waits until it is moved in, by [`Cgroup::take_in`].
    pub fn is_attached_by_systemd(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.is_outside)
    }

    /// When the container's process joins.
    pub fn join_time(&self) -> JoinTime {
        self.join
    }
}

/// Rules of devices go to the v1 hierarchy that has them, or else are a program for the v2 one. `done` of them are
/// in force already, unless the cgroup is new.
fn plan_devices(
    rules: &[DeviceRule],
    done: Option<usize>,
    layout: &Cgroups,
    writes: &mut Vec<Write>,
) -> Result<Option<program::DeviceProgram>> {
    if layout.has_v1("devices") {
        writes.append(&mut rules::list(rules, done)?);
        return Ok(None);
    }
    match layout.has_v2() {
        true => program::DeviceProgram::new(rules).map(Some),
        false if rules.is_empty() => Ok(None),
        false => {
            Err(Error::invalid(format_args!("linux.resources.devices: no devices controller on this host")))
        }
    }
}

/// As for a program, and for the same reason: see [`devices::Program`].
fn is_ignored_device_rule(write: &Write, error: &Error) -> bool {
    write.controller() == "devices" && is_denied(error) && !host::is_administrator()
}

fn is_denied(error: &Error) -> bool {
    [io::Errno::ACCESS, io::Errno::PERM, io::Errno::ROFS].iter().any(|errno| error.is(*errno))
}

/// A cgroup that is there.
pub struct Cgroup {
    hierarchies: Hierarchies,
    path: String,
    /// Hierarchies in which processes join a cgroup below it, and that one's path.
    subpaths: Vec<(String, String)>,
    /// Keeps it in being until somebody has joined, where systemd made it.
    placeholder: Cell<Option<Placeholder>>,
    /// Who moves processes into it, where this one may not.
    attach_via: Option<AttachVia>,
}

impl Cgroup {
    /// The cgroup that a container was given; it may be gone.
    pub fn open(path: &str, layout: &Cgroups) -> Result<Self> {
        Ok(Cgroup::new(Hierarchies::open(layout)?, path))
    }

    fn new(hierarchies: Hierarchies, path: &str) -> Self {
        Cgroup {
            hierarchies,
            path: path.into(),
            subpaths: Vec::new(),
            placeholder: Cell::new(None),
            attach_via: None,
        }
    }

    /// The same, but that processes join cgroups below it: `PATH`, wherever there is one, or
    /// `CONTROLLER,...:PATH`.
    pub fn join_below(mut self, paths: &[&str]) -> Result<Self> {
        for given in paths {
            let fail = |why: &str| Err(Error::invalid(format_args!("--cgroup {given}: {why}")));
            let (controllers, path) = match given.split_once(':') {
                Some((controllers, path)) => (Some(controllers), path),
                None => (None, *given),
            };
            if path.split('/').any(|name| name == "..") {
                return fail("`..` components are not allowed");
            }
            let unknown = |name: &str| self.hierarchies.v1_of(name).is_none();
            if controllers.is_some_and(|names| names.split(',').any(unknown)) {
                return fail("there is no such cgroup v1 hierarchy");
            }
            let path = format!("{}/{}", self.path, path.trim_matches('/'));
            let meant = |hierarchy: &&str| match controllers {
                Some(names) => names.split(',').any(|name| self.hierarchies.v1_of(name) == Some(*hierarchy)),
                None => self.hierarchies.has(hierarchy, &path),
            };
            let places: Vec<_> = self.hierarchies.all().filter(meant).map(String::from).collect();
            if places.is_empty() {
                return fail("there is no such cgroup");
            }
            self.subpaths.extend(places.into_iter().map(|hierarchy| (hierarchy, path.clone())));
        }
        Ok(self)
    }

    /// The path at which processes join in a hierarchy: what was said last holds.
    fn join_path(&self, hierarchy: &str) -> &str {
        let below = self.subpaths.iter().rev().find(|(place, _)| place == hierarchy);
        below.map_or(&self.path, |(_, path)| path)
    }

    /// The directory of all hierarchies, which is the host's: nobody in the container is to see it.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.hierarchies.root.as_fd()
    }

    /// Opens what a process needs to join. Permission is judged by who opened a file, so this is for the
    /// parent; `at_clone` is whether the v2 one is joined by clone3.
    pub fn open_fds(&self, at_clone: bool) -> Result<CgroupFds> {
        match self.attach_via {
            Some(_) => Ok(CgroupFds::default()),
            None => self.hierarchies.open_fds(&|hierarchy| self.join_path(hierarchy), at_clone),
        }
    }

    /// Writes all, in order. The kernel may refuse one for what another file still says: a limit of memory above
    /// that of memory and swap, a quota for another period; such a one is tried again after the rest. `undo` takes
    /// what would have things as they were.
    fn write(&self, writes: &[Write], mut undo: Option<&mut Vec<Write>>) -> Result<()> {
        let (mut again, mut skip) = (Vec::new(), false);
        let mut last = None;
        for write in writes {
            if mem::take(&mut skip) {
                continue;
            }
            match self.write_one(write, &mut last, &mut undo) {
                Ok(()) => {}
                Err(error) if write.ignores(&error) || is_ignored_device_rule(write, &error) => continue,
                Err(error) if error.is(io::Errno::INVAL) && write.depends() => again.push((write, error)),
                Err(error) => return Err(error),
            }
            skip = write.if_missing == IfMissing::TryNext;
        }
        // Each round at least one is taken, or none ever will be.
        for _ in 0..again.len() {
            again.retain(|(write, _)| self.write_one(write, &mut last, &mut undo).is_err());
        }
        again.pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// `last` is the file that has been written before.
    fn write_one<'w>(
        &self,
        write: &'w Write,
        last: &mut Option<(&'w str, OwnedFd)>,
        undo: &mut Option<&mut Vec<Write>>,
    ) -> Result<()> {
        let file: &str = &write.file;
        let fd = match last.take() {
            Some((name, fd)) if name == file => fd,
            _ => {
                let opened = self.hierarchies.open_file(&self.path, write.controller(), file);
                opened.at(format_args!("linux.resources.{}", write.field))?
            }
        };
        let before = undo.as_ref().and_then(|_| self.before(write));
        io::write(&fd, write.value.as_bytes()).map_err(|errno| write.write_error(errno))?;
        if let (Some(undo), Some(before)) = (undo, before) {
            undo.push(before);
        }
        *last = Some((file, fd));
        Ok(())
    }

    fn attach_devices(&self, devices: Option<&program::DeviceProgram>) -> Result<()> {
        let Some(program) = devices else { return Ok(()) };
        program.attach(self.hierarchies.open_v2(&self.path)?.as_fd())
    }

    /// Removes it: whoever is still in it is killed first.
    pub fn remove(&self) -> Result<()> {
        self.hierarchies.remove(&self.path)
    }

    /// Removes it, and kills nobody: its container never got into it.
    pub fn remove_unentered(&self) -> Result<()> {
        self.hierarchies.remove_unentered(&self.path)
    }

    /// Has a process moved in, where it cannot go by itself.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        self.attach_via.as_ref().map_or(Ok(()), |attach_via| self.attach_by(attach_via, pid))
    }

    /// Lets go of the place, where systemd made it: the container's process is in it.
    pub fn release_placeholder(&self) {
        drop(self.placeholder.take());
    }

    /// Makes it threaded where it can be nothing else (cgroup-v2.rst, "Threads"); whether that was so.
    pub fn make_threaded(&self) -> Result<bool> {
        self.hierarchies.make_threaded(&self.path)
    }

    /// Sends a signal to every process in it (`kill --all`).
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        self.hierarchies.signal_all(&self.path, signal)
    }

    /// Lets go on what was sent SIGKILL while it was frozen, where it would not end else: on v1.
    pub fn thaw_to_kill(&self) -> Result<()> {
        self.hierarchies.thaw_to_kill(&self.path)
    }

    /// Stops all its processes by the freezer, or lets them go on.
    pub fn set_frozen(&self, on: bool) -> Result<()> {
        self.hierarchies.set_frozen(&self.path, on)
    }

    /// Its processes, and those of cgroups below.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        self.hierarchies.processes(&self.path)
    }
}
