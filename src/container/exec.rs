//! `exec`: adds a process to a container.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::console::{Console, Socket};
use super::listener::ListenerReceiver;
use super::outcome::Outcome;
use super::pid_receivers::PidReceivers;
use super::relay::Relay;
use super::scope;
use super::store::directory::{Directory, Store};
use super::store::identity::check_alive;
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::{AddedNamespaces, State, Status};
use super::supervise::{block_signals, block_signals_of_writes, supervise};
use crate::bundle::CONFIG;
use crate::cgroup::Cgroup;
use crate::cgroup::fs::current::cgroup_of;
use crate::cgroup::systemd::attach::AttachVia;
use crate::config::Config;
use crate::config::process::Process;
use crate::error::{Error, Kind, On, Result};
use crate::host::{Cgroups, Host};
use crate::launch::exec::{ExecTarget, launch};
use crate::launch::listener::ListenerHandover;
use crate::launch::parent::Launched;
use crate::os::file::Source;
use crate::os::procfs;
use crate::plan::ExecPlan;
use crate::rootfs::id::Expected;
use crate::seccomp::Filter;

/// The arguments of `exec`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The ID of the container.
    pub id: &'a CStr,
    /// The process to run.
    pub process: ProcessSource<'a>,
    /// Whether `exec` returns when the program runs, instead of when it has exited.
    pub detach: bool,
    /// Where the PID of the process is written and its pidfd is sent.
    pub pid_receivers: PidReceivers<'a>,
    /// Allocate a terminal even if the process file does not.
    pub terminal: bool,
    /// The console socket, which receives the PTY master.
    pub console_socket: Option<Socket<'a>>,
    /// The number of fds from 3 on that the process inherits.
    pub preserve_fds: u32,
    /// Cgroups below the container's: `PATH`, or `CONTROLLER,...:PATH` for the v1 hierarchies of these controllers.
    pub cgroup: &'a [&'a str],
    /// Permit a paused container, in which the process runs when it is resumed.
    pub ignore_paused: bool,
    /// The default of `linux.seccomp.listenerPath`.
    pub seccomp_receiver: Option<&'a CStr>,
}

/// The source of the exec process's configuration.
#[derive(Clone, Copy, Debug)]
pub enum ProcessSource<'a> {
    /// An object as `process` of config.json.
    Document(Source<'a>),
    /// `process` of the container, with the changes of the command line.
    Command(&'a Command<'a>),
}

/// The process options of the command line; everything else is as in the container's configuration.
#[derive(Debug, Default)]
pub struct Command<'a> {
    /// The program and its arguments.
    pub args: Vec<&'a CStr>,
    /// Added to the container's; a variable of the same name is replaced.
    pub env: Vec<&'a CStr>,
    /// The working directory.
    pub cwd: Option<&'a CStr>,
    /// UID, and GID if that changes too.
    pub user: Option<(u32, Option<u32>)>,
    /// Supplementary groups, added to those of the container.
    pub additional_gids: Vec<u32>,
    /// Added to the bounding, effective and permitted sets, and to the ambient set if they are in the inheritable set.
    pub capabilities: Vec<&'a str>,
    /// Set no_new_privs even if the container does not.
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    pub apparmor_profile: Option<&'a CStr>,
    /// The SELinux label.
    pub selinux_label: Option<&'a CStr>,
}

/// The container that the process is added to.
struct Target {
    directory: Directory,
    /// The pidfd of the container init.
    init: OwnedFd,
    /// The root of the container init.
    root: Expected,
    /// The PID of the container init.
    pid: i32,
    bundle: String,
    cgroup: Option<String>,
    /// Whether it also has a cgroup in the v1 hierarchy name=systemd.
    named: bool,
    added: AddedNamespaces,
    /// The systemd that moves the process into the cgroup, if mote may not.
    attach_via: Option<AttachVia>,
    frozen: bool,
}

/// An exec process whose program runs.
struct Started {
    launched: Launched,
    /// The terminal relay, if mote stays in the foreground.
    relay: Option<Box<Relay>>,
}

/// Runs a process in a container. Detached, it returns as soon as the program runs; otherwise when the process has ended.
///
/// Errors: [`Kind::State`] if the container is not created, running or, with `ignore_paused`, paused;
/// [`Kind::NoProgram`] and [`Kind::Program`] for the program.
pub fn exec(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<Outcome> {
    let mut container = check(locked(store, request.id)?, request)?;
    match request.detach {
        true => block_signals_of_writes()?,
        false => block_signals()?,
    }
    let Started { launched, relay } = match start(&container, request, warnings) {
        // The no-internal-processes rule (cgroups(7)): the container has created sub-cgroups, and its init process
        // is in one of them. The exec process joins that one.
        Err(error) if error.is(Errno::BUSY) && request.cgroup.is_empty() => {
            (container.cgroup, container.named) = (Some(cgroup_of(container.pid)?), false);
            check_alive(&container.init, container.pid)?;
            start(&container, request, &mut Vec::new())?
        }
        started => started?,
    };
    drop(container);
    match request.detach {
        true => Ok(Outcome::running(launched.pid, launched.pidfd)),
        false => supervise((launched.pid, &launched.pidfd), relay, None).map(Outcome::Ended),
    }
}

fn check(directory: Directory, request: &Request<'_>) -> Result<Target> {
    let Snapshot { status, state } = snapshot::of(&directory)?;
    let refuse = |why: &str| {
        let id = directory.id();
        Error::new(Kind::State, format_args!("cannot exec in container \"{id}\": {why}"))
    };
    match state {
        State::Created | State::Running => {}
        State::Paused if request.ignore_paused => {}
        State::Paused => return Err(refuse("it is paused")),
        State::Creating | State::Stopped => return Err(refuse("container not running")),
    }
    let init = status.process.open()?.ok_or_else(|| refuse("container not running"))?;
    if status.cgroup.is_none() && !request.cgroup.is_empty() {
        return Err(refuse("--cgroup: it has no cgroup"));
    }
    let (pid, frozen) = (status.process.pid, state == State::Paused);
    let attach_via = scope::attach_via(&status);
    let Status { bundle, cgroup, named, added, .. } = status;
    let root = root_of(&directory)?;
    Ok(Target { directory, init, root, pid, bundle, cgroup, named, added, attach_via, frozen })
}

/// The root that a process must have after it joined the container. Fails if no root is recorded: the container is not
/// set up.
pub(super) fn root_of(directory: &Directory) -> Result<Expected> {
    let lost = || Error::invalid(format_args!("container \"{}\" is not set up", directory.id()));
    Expected::new(directory.root()?.ok_or_else(lost)?)
}

/// Starts the process, and returns when its program runs. On an error no process is left.
fn start(container: &Target, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<Started> {
    let directory = &container.directory;
    let lost = || Error::invalid(format_args!("container \"{}\": no saved process", directory.id()));
    let mut text = directory.read(CONFIG)?.ok_or_else(lost)?;
    let mut config = Config::decode("config.json", &mut text)?;
    container.added.add_to(&mut config.linux);
    config.set_seccomp_receiver(request.seccomp_receiver);
    let own = config.process.take().ok_or_else(lost)?;
    let mut text_of_process;
    let mut process = match request.process {
        ProcessSource::Command(command) => command.change(own),
        ProcessSource::Document(source) => {
            text_of_process = source.read()?;
            complete(Process::decode(source.name("process"), &mut text_of_process)?, own)
        }
    };
    process.terminal |= request.terminal;
    let host = Host::read()?;
    let mut plan = ExecPlan::new(&config, &process, &host, directory.id(), request.preserve_fds, warnings)?;
    let cgroup = container.open_cgroup(host.cgroups.of(container.named), request.cgroup)?;
    let explain = |error| cgroup.iter().fold(error, |error, cgroup| cgroup.explain(error));
    let console = Console::new(request.console_socket, plan.process.terminal.as_mut(), !request.detach)?;
    let directory_of_init = match plan.namespaces.has_mount() {
        true => None,
        false => Some(container.root_directory()?),
    };
    let target = ExecTarget {
        init: &container.init,
        cgroup: cgroup.as_ref(),
        console: console.childs(),
        is_frozen: container.frozen,
        root: container.root,
        directory: directory_of_init.as_ref(),
    };
    let mut launched = launch(&plan, target).map_err(explain)?;
    let run_program = |launched: &mut Launched| {
        // In a paused container the process stops until `resume`, which needs the lock.
        directory.unlock()?;
        launched.listener = listener(container, &config, &plan, launched.pid)?;
        request.pid_receivers.send(launched.pid, &launched.pidfd)?;
        launched.go()?;
        console.relay()
    };
    match run_program(&mut launched) {
        Ok(relay) => Ok(Started { launched, relay }),
        Err(error) => {
            launched.kill();
            request.pid_receivers.remove_pid_file();
            Err(explain(error))
        }
    }
}

impl Target {
    /// The root directory of the container init (proc_pid_root(5)).
    #[cold]
    #[inline(never)]
    fn root_directory(&self) -> Result<OwnedFd> {
        let path = format!("{}/root", self.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(procfs::open_own(false)?, path.as_str(), flags, Mode::empty());
        let root = root.on(format_args!("openat /proc/{path}"))?;
        check_alive(&self.init, self.pid).map(|()| root)
    }

    /// Opens the container's cgroup for a process that joins it, or the cgroups `below` it.
    fn open_cgroup(&self, layout: Cgroups, below: &[&str]) -> Result<Option<Cgroup>> {
        let Some(path) = &self.cgroup else { return Ok(None) };
        let cgroup = Cgroup::open(path, &layout)?.with_attach(self.attach_via.clone());
        cgroup.join_below(below).map(Some)
    }
}

/// Connects to the receiver of the listener fd, if the process's filter has one.
fn listener(
    container: &Target,
    config: &Config<'_>,
    plan: &ExecPlan<'_>,
    pid: Pid,
) -> Result<Option<ListenerHandover>> {
    if !plan.process.seccomp.as_ref().is_some_and(Filter::has_listener) {
        return Ok(None);
    }
    let [id, bundle] =
        [container.directory.id(), &container.bundle].map(|text| CString::new(text).unwrap_or_default());
    let receiver = ListenerReceiver::connect(config, &id, &bundle)?;
    let pid = pid.as_raw_nonzero().get();
    Ok(receiver.map(|receiver| receiver.handover(pid, State::Running, container.pid)))
}

/// Adds to `process`, from a process file, the members that are omitted there, from the container's own `process`.
fn complete<'a>(mut process: Process<'a>, own: Process<'a>) -> Process<'a> {
    if process.env.is_empty() {
        process.env = own.env;
    }
    if process.rlimits.is_empty() {
        process.rlimits = own.rlimits;
    }
    process.capabilities = process.capabilities.or(own.capabilities);
    process.user.umask = process.user.umask.or(own.user.umask);
    process.oom_score_adj = process.oom_score_adj.or(own.oom_score_adj);
    process.apparmor_profile = process.apparmor_profile.or(own.apparmor_profile);
    process.selinux_label = process.selinux_label.or(own.selinux_label);
    process.scheduler = process.scheduler.or(own.scheduler);
    process.io_priority = process.io_priority.or(own.io_priority);
    process.exec_cpu_affinity = process.exec_cpu_affinity.or(own.exec_cpu_affinity);
    process
}

impl<'a> Command<'a> {
    /// The container's `process` with the changes of the command line.
    fn change(&self, mut process: Process<'a>) -> Process<'a> {
        process.args = self.args.clone();
        process.env.extend_from_slice(&self.env);
        process.cwd = self.cwd.unwrap_or(process.cwd);
        process.terminal = false;
        process.no_new_privileges |= self.no_new_privileges;
        process.apparmor_profile = self.apparmor_profile.or(process.apparmor_profile);
        process.selinux_label = self.selinux_label.or(process.selinux_label);
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend_from_slice(&self.additional_gids);
        if !self.capabilities.is_empty() {
            let sets = process.capabilities.get_or_insert_default();
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                set.extend_from_slice(&self.capabilities);
            }
            // Only inheritable capabilities can be ambient (capabilities(7)); the options do not change that set.
            let inheritable =
                |name: &&&str| sets.inheritable.iter().any(|known| known.eq_ignore_ascii_case(name));
            sets.ambient.extend(self.capabilities.iter().filter(inheritable));
        }
        process
    }
}
