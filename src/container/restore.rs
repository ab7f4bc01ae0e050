//! `restore`: creates a container whose processes CRIU restores from the image files of `checkpoint`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general::CLONE_NEWNET;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Pid, set_child_subreaper};

use super::checkpoint::JOINED;
use super::console::Console;
use super::create;
use super::creation::{Creation, Sources, Until};
use super::criu::{CriuOptions, path_of};
use super::delete;
use super::outcome::Outcome;
use super::relay::Relay;
use super::run::Foreground;
use super::store::directory::Store;
use super::store::identity::Identity;
use super::supervise::{block_signals, block_signals_of_writes, supervise};
use crate::config::linux::{IdMapping, NamespaceKind};
use crate::criu::images::{DESCRIPTORS, Directories};
use crate::criu::message::{
    CGROUPS_IGNORE, CGROUPS_SOFT, CGROUPS_STRICT, Kind, Opt, Options, Reply, request,
};
use crate::criu::program::Program;
use crate::criu::wire::Value;
use crate::error::{At, Error, Kind as ErrorKind, On, Result};
use crate::hooks::Point;
use crate::host::Cgroups;
use crate::json::Decoder;
use crate::launch::restore::{Restoring, kill, launch, loopback_up, make_root_read_only};
use crate::namespace::actual;
use crate::namespace::device::Moved;
use crate::os::{process, procfs, scm_rights};
use crate::rootfs::id::RootId;
use crate::sys::pidfd::reap;

/// The arguments of `restore`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Those that it has in common with `create`.
    pub create: create::Request<'a>,
    /// The options of CRIU.
    pub criu: CriuOptions<'a>,
}

/// The log of CRIU.
const LOG: &CStr = c"restore.log";

/// Restores a container. Detached (no `foreground`), it returns as soon as the processes run; otherwise as
/// [`run`](super::run::run) does. On an error everything is removed again.
///
/// Errors: those of [`create`](create::create) for the configuration; [`Unsupported`](ErrorKind::Unsupported) if CRIU is not
/// installed, too old, or lacks an option.
pub fn restore(
    store: &Store,
    request: &Request<'_>,
    foreground: Option<Foreground>,
    warnings: &mut Vec<Error>,
) -> Result<Outcome> {
    let until = if foreground.is_some() { Until::Ended } else { Until::Running };
    match foreground {
        None => block_signals_of_writes()?,
        Some(Foreground { subreaper, .. }) => {
            if subreaper {
                set_child_subreaper(Some(Pid::INIT)).on(format_args!("prctl PR_SET_CHILD_SUBREAPER"))?;
            }
            block_signals()?;
        }
    }
    let directory = store.create(request.create.id)?;
    let mut sources = Sources::default();
    let planned = Creation::plan(&directory, &request.create, until, &mut sources, warnings);
    let creation = planned.inspect_err(|_| drop(directory.remove()))?;
    let Restored { pid, pidfd, relay } = Restoration::new(creation, &request.criu).make()?;
    directory.unlock()?;
    let Some(Foreground { keep, .. }) = foreground else {
        return Ok(Outcome::running(pid, pidfd));
    };
    let code = supervise((pid, &pidfd), relay, None)?;
    // `false`: another command has deleted it.
    if !keep && directory.lock()? {
        let removed = delete::remove(&directory, warnings);
        warnings.extend(removed.err());
    }
    Ok(Outcome::Ended(code))
}

/// A restored container init.
struct Restored {
    pid: Pid,
    pidfd: OwnedFd,
    relay: Option<Box<Relay>>,
}

/// A container that is being restored.
struct Restoration<'r, 'a> {
    creation: Creation<'a>,
    criu: &'r CriuOptions<'r>,
    console: Console,
    /// Whether the PTY master was sent.
    has_terminal: bool,
    /// Network interfaces that are moved back if the restore fails.
    moved: Option<Box<Moved>>,
    /// The container init, when CRIU has restored it.
    init: Option<(Pid, OwnedFd)>,
}

impl<'r, 'a> Restoration<'r, 'a> {
    fn new(creation: Creation<'a>, criu: &'r CriuOptions<'r>) -> Self {
        Restoration { creation, criu, console: Console::None, has_terminal: false, moved: None, init: None }
    }

    fn make(mut self) -> Result<Restored> {
        match self.try_make() {
            Ok((pid, pidfd)) => {
                self.creation.release_placeholder();
                let relay = self.console.relay()?;
                // The restored terminal has the size of the dumped one.
                relay.iter().for_each(|relay| relay.resize());
                Ok(Restored { pid, pidfd, relay })
            }
            Err(error) => {
                self.creation.release_placeholder();
                // Before their network namespace is destroyed.
                self.moved.iter().for_each(|moved| moved.give_back());
                if let Some((pid, pidfd)) = self.init.take() {
                    kill(pid, &pidfd);
                    self.creation.pid_receivers.remove_pid_file();
                }
                Err(self.creation.undo(error))
            }
        }
    }

    fn try_make(&mut self) -> Result<(Pid, OwnedFd)> {
        self.check_namespaces()?;
        let program = Program::find(self.criu.search_path).at(format_args!("restore"))?;
        let directories = Directories::open(self.criu.images, self.criu.work)?;
        if let Some(group) = self.root_group() {
            directories.permit(group)?;
        }
        let links = standard_links(&directories)?;
        self.creation.make_environment()?;
        self.console = self.creation.console()?;
        let mut restoring = self.launch(&program)?;
        let (mut options, _file) = self.criu.encode(&self.creation.status, &directories, LOG)?;
        self.encode(&mut options, &restoring, &links);
        directories.remove_logs(LOG);
        let restored = self.call(&mut restoring, &options);
        let Restoring { pid, connection, .. } = restoring;
        let has_refused = connection.has_refused;
        let pidfd = connection.close();
        match restored {
            Ok(()) => {
                reap(&pidfd);
                self.init.take().ok_or_else(|| Error::invalid(format_args!("criu: no process was restored")))
            }
            Err(error) => {
                kill(pid, &pidfd);
                Err(if has_refused { error } else { directories.explain(error, LOG) })
            }
        }
    }

    /// The group of the root of a user namespace, some images of which are read by processes in it.
    fn root_group(&self) -> Option<u32> {
        let (_, gids) = self.creation.plan.maps.as_ref()?.mappings();
        IdMapping::to_host(gids, 0)
    }

    /// Rejects what CRIU cannot restore.
    fn check_namespaces(&self) -> Result<()> {
        let namespaces = &self.creation.plan.namespaces;
        let refuse = |what: &str| {
            Err(Error::unsupported(format_args!("linux.namespaces: CRIU cannot restore {what}")))
        };
        if !namespaces.is_new(NamespaceKind::Mount) {
            return refuse("a container without a mount namespace of its own");
        }
        // CRIU creates the user namespace that it has dumped, and has no rights in another one then.
        for (kind, what) in [
            (NamespaceKind::Cgroup, "a container in a cgroup namespace that is given by path"),
            (NamespaceKind::User, "a container in a user namespace that is given by path"),
        ] {
            if namespaces.is_joined(kind) {
                return refuse(what);
            }
        }
        Ok(())
    }

    /// Whether the cgroups of processes are not restored: all processes are in that of CRIU then, which is the container's if
    /// it has one.
    fn ignores_cgroups(&self) -> bool {
        self.creation.cgroup.is_none() || self.cgroup_mode() == Some(CGROUPS_IGNORE)
    }

    fn cgroup_mode(&self) -> Option<u32> {
        let found = self.criu.numbers.iter().find(|(option, _)| *option == Opt::ManageCgroupsMode);
        found.map(|(_, mode)| *mode)
    }

    fn launch(&mut self, program: &Program) -> Result<Restoring> {
        let joins = self.ignores_cgroups();
        let Creation { directory, plan, cgroup, status, .. } = &mut self.creation;
        let planned = plan.cgroup.as_ref().zip(cgroup.as_ref()).filter(|_| joins);
        let cgroup_fds = planned.map(|(plan, cgroup)| plan.open_fds(cgroup, false)).transpose()?;
        let layout = plan.cgroup.as_ref().map_or_else(Cgroups::read, |cgroup| Ok(cgroup.layout.clone()))?;
        let rdt = plan.rdt.take();
        // Until the container init exists: `delete --force` kills CRIU, and what is in the cgroup.
        let restoring =
            launch(plan, directory.fd(), program, (&layout, joins, cgroup_fds.as_ref()), |pid, pidfd| {
                status.process = Identity::of(pid, pidfd)?;
                // Restored processes are cloned from CRIU, and inherit its groups.
                rdt.as_ref().map_or(Ok(()), |rdt| rdt.join(pid))?;
                status.write(directory)
            });
        plan.rdt = rdt;
        restoring
    }

    fn encode(&self, options: &mut Options, restoring: &Restoring, links: &[String]) {
        let plan = &self.creation.plan;
        // CRIU would reject the container's cgroup, which mote has created. All below it are created by CRIU in both modes.
        match self.cgroup_mode() {
            _ if self.ignores_cgroups() => options.number(Opt::ManageCgroupsMode, CGROUPS_IGNORE),
            Some(CGROUPS_STRICT) => options.number(Opt::ManageCgroupsMode, CGROUPS_SOFT),
            _ => {}
        }
        options.flag(Opt::RstSibling, true);
        // Otherwise terminals are those of the caller (`--shell-job`).
        options.flag(Opt::OrphanPtsMaster, plan.process.terminal.is_some());
        options.flag(Opt::EvasiveDevices, true);
        options.text(Opt::Root, restoring.places.root.to_bytes());
        if let Some(cgroup) = &plan.cgroup {
            options.cgroup_root(cgroup.path.as_bytes());
        }
        options.text(Opt::CgroupYard, restoring.places.cgroups.to_bytes());
        if plan.own_network {
            options.number(Opt::EmptyNs, CLONE_NEWNET);
        }
        for mount in restoring.mounts.split(|byte| *byte == 0).filter(|mount| !mount.is_empty()) {
            options.text(Opt::External, mount);
        }
        for (number, link) in links.iter().enumerate() {
            // CRIU cuts the first character of the name of a file. By the whole name it would also find the file descriptor, but
            // compare type and size of its file with those of the dumped one.
            let name = match link.strip_prefix('f').filter(|name| name.starts_with("ile[")) {
                Some(name) => name,
                None if link.starts_with("pipe:") => link,
                None => continue,
            };
            options.pair(Opt::InheritFd, name.as_bytes(), Value::Number(number as u64));
        }
        for (joined, fd) in plan.namespaces.joined.iter().zip(&restoring.namespaces) {
            let number = fd.as_raw_fd();
            match JOINED.iter().find(|(kind, _, _)| *kind == joined.kind()) {
                Some((_, _, key)) => {
                    options.pair(Opt::InheritFd, key.as_bytes(), Value::Number(number as u64))
                }
                None => {
                    let path = path_of(fd);
                    options.pair(Opt::JoinNs, joined.kind().name().as_bytes(), Value::Bytes(path.as_bytes()));
                }
            }
        }
    }

    /// Requests the restore, and makes the steps of mote meanwhile.
    fn call(&mut self, restoring: &mut Restoring, options: &Options) -> Result<()> {
        let Restoring { connection: criu, namespaces, .. } = restoring;
        self.criu.check(criu, false)?;
        let notify = &mut |reply: &Reply<'_>, fd: Option<OwnedFd>| match (reply.script, fd) {
            (b"setup-namespaces", _) => self.set_up_namespaces(reply.pid),
            (b"orphan-pts-master", Some(terminal)) => self.send_terminal(&terminal),
            (b"post-restore", _) => self.record(reply.pid, namespaces),
            _ => Ok(()),
        };
        criu.call(&request(Kind::Restore, options), notify)?.check("restore")
    }

    /// The container init is in its namespaces, and nothing is mounted yet.
    fn set_up_namespaces(&mut self, number: i32) -> Result<()> {
        let (pid, pidfd) = open(number)?;
        let plan = &self.creation.plan;
        // A network namespace that is given by path still has what was there.
        if plan.own_network {
            loopback_up(&pidfd)?;
            if !plan.devices.is_empty() {
                self.moved = Some(plan.devices.apply(None, pid, &pidfd)?);
            }
        }
        let hooks = [Point::Prestart, Point::CreateRuntime];
        let done = hooks.into_iter().try_for_each(|point| plan.hooks.run_beside(point, number, &pidfd));
        // It is killed if the restore fails, even if CRIU cannot do that any more.
        self.init = Some((pid, pidfd));
        done
    }

    fn send_terminal(&mut self, terminal: &OwnedFd) -> Result<()> {
        self.has_terminal = true;
        match self.console.childs() {
            Some(console) => scm_rights::send(console, b"/dev/ptmx", terminal.as_fd()),
            None => {
                Err(Error::invalid(format_args!("process.terminal: the dumped container had a terminal")))
            }
        }
    }

    /// Checks and records the container init, before it continues.
    fn record(&mut self, pid: i32, joined: &[OwnedFd]) -> Result<()> {
        let (pid, pidfd) = open(pid)?;
        let number = pid.as_raw_nonzero().get();
        let creation = &mut self.creation;
        if creation.plan.process.terminal.is_some() && !self.has_terminal {
            return Err(Error::invalid(format_args!(
                "process.terminal: the dumped container had no terminal"
            )));
        }
        let has_other_time = actual::check(&creation.plan.namespaces, joined, number)?;
        if let Some(cgroup) = &creation.cgroup
            && !cgroup.processes()?.contains(&pid)
        {
            let path = creation.status.cgroup.as_deref().unwrap_or_default();
            let why = format_args!("criu: the restored process {number} is not in cgroup {path}");
            return Err(Error::new(ErrorKind::State, why));
        }
        make_root_read_only(&creation.plan, &pidfd)?;
        creation.status.process = Identity::of(pid, &pidfd)?;
        creation.status.added.time = has_other_time;
        creation.status.write(creation.directory)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(procfs::open_own(false)?, format!("{number}/root"), flags, Mode::empty());
        let root = RootId::of(&root.on(format_args!("openat /proc/{number}/root"))?)?;
        let sent = creation.pid_receivers.send(pid, &pidfd);
        self.init = Some((pid, pidfd));
        sent.and_then(|()| self.creation.directory.record_root(&root))
    }
}

/// A process of CRIU's, which waits for mote.
fn open(pid: i32) -> Result<(Pid, OwnedFd)> {
    let lost = || Error::invalid(format_args!("criu: no process {pid}"));
    let pid = Pid::from_raw(pid).ok_or_else(lost)?;
    Ok((pid, process::open(pid)?.ok_or_else(lost)?))
}

/// Where the standard file descriptors led when the container was dumped; empty if that is unknown.
fn standard_links(directories: &Directories<'_>) -> Result<Vec<String>> {
    let Some(mut text) = directories.read(DESCRIPTORS)? else { return Ok(Vec::new()) };
    let mut decoder = Decoder::new("descriptors.json", &mut text);
    let links = decoder.list(|d| String::from(d.string()));
    decoder.finish().map(|()| links)
}
