//! A cgroup that exists, identified by its path: writing limits, joining, signalling its processes, removing it.

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
use super::fs::path::ancestors;
use super::fs::undelegated::is_refused;
use super::systemd::attach::AttachVia;
use super::systemd::placeholder::Placeholder;
use crate::error::{Error, Kind, Result};
use crate::host::{self, Cgroups};

/// A cgroup of a container, in every hierarchy.
pub struct Cgroup {
    pub(super) hierarchies: Hierarchies,
    pub(super) path: String,
    /// Hierarchies in which processes join a sub-cgroup instead, with the path of the sub-cgroup.
    pub(super) subpaths: Vec<(String, String)>,
    /// The process for which systemd keeps the scope until the container init has joined.
    pub(super) placeholder: Cell<Option<Placeholder>>,
    /// The systemd that moves processes into it, if this process is not permitted to.
    pub(super) attach_via: Option<AttachVia>,
}

impl Cgroup {
    /// Refers to the cgroup of a container by its path; it may have been removed meanwhile.
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

    /// Changes the cgroups that processes join to sub-cgroups, given as by `exec --cgroup`: `PATH`, for each hierarchy
    /// in which it exists, or `CONTROLLER,...:PATH`.
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
                return fail("no such cgroup v1 hierarchy");
            }
            let path = format!("{}/{}", self.path, path.trim_matches('/'));
            let selected = |hierarchy: &&str| match controllers {
                Some(names) => names.split(',').any(|name| self.hierarchies.v1_of(name) == Some(*hierarchy)),
                None => self.hierarchies.has(hierarchy, &path),
            };
            let places: Vec<_> = self.hierarchies.all().filter(selected).map(String::from).collect();
            if places.is_empty() {
                return fail("no such cgroup");
            }
            self.subpaths.extend(places.into_iter().map(|hierarchy| (hierarchy, path.clone())));
        }
        Ok(self)
    }

    /// The path at which processes join in a hierarchy: the last one given for it.
    pub(super) fn join_path(&self, hierarchy: &str) -> &str {
        let below = self.subpaths.iter().rev().find(|(place, _)| place == hierarchy);
        below.map_or(&self.path, |(_, path)| path)
    }

    /// The host's /sys/fs/cgroup. It must not become accessible in the container.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.hierarchies.root.as_fd()
    }

    /// Opens the files with which a process joins. The kernel checks the credentials of the process that opened them,
    /// so the parent calls this. `at_clone` is whether the v2 cgroup is joined by clone3(2).
    pub fn open_fds(&self, at_clone: bool) -> Result<CgroupFds> {
        match self.attach_via {
            Some(_) => Ok(CgroupFds::default()),
            None => self.hierarchies.open_fds(&|hierarchy| self.join_path(hierarchy), at_clone),
        }
    }

    /// Writes all limits, in order. The kernel may reject a write (EINVAL) because of the present value of another
    /// file, such as a memory limit above that of memory plus swap, or a quota for another period; it is retried after
    /// the others. The writes that restore the previous values are added to `undo`.
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
        // In each round at least one write succeeds, or the remaining ones never will.
        for _ in 0..again.len() {
            again.retain(|(write, _)| self.write_one(write, &mut last, &mut undo).is_err());
        }
        again.pop().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Does one write. `last` is the file that was written before, which is used again if it is the same.
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
                opened.map_err(|error| not_opened(error, write))?
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

    /// Explains an EACCES with which a process failed to join this cgroup, if the reason is that this user may not move
    /// processes into it.
    #[cold]
    #[inline(never)]
    pub fn explain(&self, error: Error) -> Error {
        let path = &self.path;
        let (Some(top), Ok(own), None) = (self.hierarchies.v2, own_cgroup(), &self.attach_via) else {
            return error;
        };
        if error.kind() != Kind::System || !error.is(io::Errno::ACCESS) {
            return error;
        }
        // Write access to the cgroup's own file is required, and to that of the common ancestor.
        if !may_move(top, path, path) {
            return error
                .within(format_args!("linux.cgroupsPath: cgroup {path} is not delegated to this user"));
        }
        if may_move(top, &own, path) {
            return error;
        }
        let first = ancestors(path).find(|above| may_move(top, above, above)).unwrap_or(path);
        error.within(format_args!(
            "cannot move from cgroup {own} to cgroup {path} (cgroups(7), \"delegation containment\"); \
             start mote in a cgroup below {first}"
        ))
    }

    /// Removes the cgroup. Processes that are still in it are killed first.
    pub fn remove(&self) -> Result<()> {
        self.hierarchies.remove(&self.path)
    }

    /// Removes the cgroup without killing processes, for a container whose init never joined it.
    pub fn remove_unentered(&self) -> Result<()> {
        self.hierarchies.remove_unentered(&self.path)
    }

    /// Sets the systemd that moves processes into the cgroup; `None` if this process is permitted to.
    pub fn with_attach(self, attach_via: Option<AttachVia>) -> Self {
        Cgroup { attach_via, ..self }
    }

    /// Moves a process into the cgroup by systemd, if [`Cgroup::with_attach`] requires it.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        match &self.attach_via {
            Some(via) => via.attach(self.join_path(self.hierarchies.v2.unwrap_or_default()), pid),
            None => Ok(()),
        }
    }

    /// Ends the placeholder process, if there is one. The container init must be in the cgroup.
    pub fn release_placeholder(&self) {
        drop(self.placeholder.take());
    }

    /// Makes the cgroup, and the cgroups above it, threaded if their type is `domain invalid` (cgroup-v2.rst,
    /// "Threads"). Returns whether one was.
    pub fn make_threaded(&self) -> Result<bool> {
        self.hierarchies.make_threaded(&self.path)
    }

    /// Sends a signal to every process in the cgroup (`kill --all`).
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        self.hierarchies.signal_all(&self.path, signal)
    }

    /// Thaws processes that were sent SIGKILL while frozen. On v1 they do not exit otherwise; on v2 nothing is done.
    pub fn thaw_to_kill(&self) -> Result<()> {
        self.hierarchies.thaw_to_kill(&self.path)
    }

    /// Freezes (`on`) or thaws all processes of the cgroup.
    pub fn set_frozen(&self, on: bool) -> Result<()> {
        self.hierarchies.set_frozen(&self.path, on)
    }

    /// The path of the directory by whose files it is frozen; `None` without a freezer.
    pub fn freezer_path(&self) -> Option<String> {
        self.hierarchies.freezer_path(&self.path)
    }

    /// The processes of the cgroup and of the cgroups below it.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        self.hierarchies.processes(&self.path)
    }
}

/// The error that the file of a limit cannot be opened.
#[cold]
fn not_opened(error: Error, write: &Write) -> Error {
    let field = write.name();
    // Who creates a cgroup owns these files, but delegation of an existing one does not include them (cgroups(7)).
    match is_refused(&error) && write.controller() != "devices" {
        true => error.within(format_args!(
            "{field}: not delegated to this user, who may set limits of cgroups below this one"
        )),
        false => error.within(format_args!("{field}")),
    }
}

/// Whether a device rule was denied to an unprivileged user, which is ignored as for a [`program::DeviceProgram`].
fn is_ignored_device_rule(write: &Write, error: &Error) -> bool {
    write.controller() == "devices" && is_denied(error) && !host::is_administrator()
}

pub(super) fn is_denied(error: &Error) -> bool {
    [io::Errno::ACCESS, io::Errno::PERM, io::Errno::ROFS].iter().any(|errno| error.is(*errno))
}
