//! A cgroup that exists, by its path: limits are written to it, processes join it and are signalled, it is removed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io;
use rustix::process::Pid;

use super::controllers::write::{IfMissing, Write};
use super::devices::program;
use super::fs::current::{may_move, own_cgroup};
use super::fs::fds::CgroupFds;
use super::fs::hierarchies::Hierarchies;
use super::systemd::attach::AttachVia;
use super::systemd::placeholder::Placeholder;
use crate::error::{At, Error, Kind, Result};
use crate::host::{self, Cgroups};

/// A cgroup of a container, in every hierarchy.
pub struct Cgroup {
    pub(super) hierarchies: Hierarchies,
    pub(super) path: String,
    /// Hierarchies in which processes join a cgroup below it, and that one's path.
    pub(super) subpaths: Vec<(String, String)>,
    /// Keeps it in being until somebody has joined, where systemd made it.
    pub(super) placeholder: Cell<Option<Placeholder>>,
    /// Who moves processes into it, where this one may not.
    pub(super) attach_via: Option<AttachVia>,
}

impl Cgroup {
    /// The cgroup that a container was given; it may be gone.
    pub fn open(path: &str, layout: &Cgroups) -> Result<Self> {
        Ok(Cgroup::new(Hierarchies::open(layout)?, path))
    }

    pub(super) fn new(hierarchies: Hierarchies, path: &str) -> Self {
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
    pub(super) fn join_path(&self, hierarchy: &str) -> &str {
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
    pub(super) fn write(&self, writes: &[Write], mut undo: Option<&mut Vec<Write>>) -> Result<()> {
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

    pub(super) fn attach_devices(&self, devices: Option<&program::DeviceProgram>) -> Result<()> {
        let Some(program) = devices else { return Ok(()) };
        program.attach(self.hierarchies.open_v2(&self.path)?.as_fd())
    }

    /// The error of a process that did not come to run in it, with where that would have come from, if that is why.
    #[cold]
    #[inline(never)]
    pub fn explain(&self, error: Error) -> Error {
        let path = &self.path;
        match (self.hierarchies.v2, own_cgroup()) {
            (Some(top), Ok(own))
                if error.kind() == Kind::System && error.is(io::Errno::ACCESS) && !may_move(top, &own, path) =>
            {
                error.within(format_args!(
                    "cgroup {path} may not be entered from cgroup {own} (cgroups(7), \"delegation containment\")"
                ))
            }
            _ => error,
        }
    }

    /// Removes it: whoever is still in it is killed first.
    pub fn remove(&self) -> Result<()> {
        self.hierarchies.remove(&self.path)
    }

    /// Removes it, and kills nobody: its container never got into it.
    pub fn remove_unentered(&self) -> Result<()> {
        self.hierarchies.remove_unentered(&self.path)
    }

    /// Has systemd move processes in where this process may not.
    pub fn with_attach(self, attach_via: Option<AttachVia>) -> Self {
        Cgroup { attach_via, ..self }
    }

    /// Moves a process in that cannot join by itself.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        match &self.attach_via {
            Some(via) => via.attach(self.join_path(self.hierarchies.v2.unwrap_or_default()), pid),
            None => Ok(()),
        }
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

/// As for a program, and for the same reason: see [`program::DeviceProgram`].
fn is_ignored_device_rule(write: &Write, error: &Error) -> bool {
    write.controller() == "devices" && is_denied(error) && !host::is_administrator()
}

pub(super) fn is_denied(error: &Error) -> bool {
    [io::Errno::ACCESS, io::Errno::PERM, io::Errno::ROFS].iter().any(|errno| error.is(*errno))
}
