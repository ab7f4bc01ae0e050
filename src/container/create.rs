//! `create`, and the part of it that `run` shares: from a bundle to a container init that waits to be started.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;

use super::console::Console;
use super::listener::ListenerReceiver;
use super::notify::{Notify, SocketMount};
use super::pid_receivers::PidReceivers;
use super::relay::Relay;
use super::scope::Description;
use super::store::directory::{Directory, Store};
use super::store::identity::Identity;
use super::store::status::{State, Status};
use super::time;
use crate::bundle::{Bundle, CONFIG};
use crate::cgroup::Cgroup;
use crate::cgroup::manager::{Manager, Requested};
use crate::cgroup::stat::oom::OomReport;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::hooks::{self, Point};
use crate::host::{Cgroups, Host};
use crate::intelrdt;
use crate::launch::parent::{Launched, launch};
use crate::launch::start_socket::StartWait;
use crate::plan::{Options, Plan, ProcessPlan};
use crate::rootfs::id::RootId;
use crate::sys::program_text;

/// The arguments of `create` and `run`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The ID of the new container.
    pub id: &'a CStr,
    /// The directory of the bundle, as given: relative paths start at the working directory.
    pub bundle: &'a CStr,
    /// A file that is read instead of the bundle's config.json.
    pub config: Option<&'a CStr>,
    /// Where the PID of the container init is written and its pidfd is sent.
    pub pid_receivers: PidReceivers<'a>,
    /// The console socket, which receives the PTY master.
    pub console_socket: Option<&'a CStr>,
    /// The number of fds from 3 on that the container inherits.
    pub preserve_fds: u32,
    /// The number of fds, after the preserved ones, that were passed to mote for the container (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// NOTIFY_SOCKET of mote's environment, where the readiness of the container is reported.
    pub notify_socket: Option<&'a CStr>,
    /// RUN_OCI_SECCOMP_RECEIVER of mote's environment: the default of `linux.seccomp.listenerPath`.
    pub seccomp_receiver: Option<&'a CStr>,
    /// Whether the root is changed by pivot_root(2); otherwise by chroot(2) (`--no-pivot`).
    pub pivot: bool,
    /// Whether the container gets a new session keyring (session-keyring(7)).
    pub new_keyring: bool,
    /// The cgroup manager.
    pub manager: &'a Requested,
}

/// How far `bring_up` and its caller go before mote exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The container is created and waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// The program has exited.
    Ended,
}

/// A container whose init process is launched.
pub(crate) struct CreatedContainer {
    pub directory: Directory,
    pub launch: Launch,
}

/// The container init and the resources that mote holds for it.
pub(crate) struct Launch {
    /// The terminal relay, if mote stays in the foreground.
    pub relay: Option<Box<Relay>>,
    /// The notification sockets, if mote stays until the container is ready.
    pub notify: Option<Notify>,
    /// Whether removal has to do more than remove the cgroup: poststop hooks, resctrl groups, a systemd scope.
    pub has_other_resources: bool,
    pub cgroup: Option<Cgroup>,
    pub launched: Launched,
}

/// Creates a container, whose init process then waits for `start` (runtime.md, "Create"). Settings without effect are
/// added to `warnings`. On an error everything is removed again.
///
/// The [kind](crate::error::Kind) of an error is `Exists` if the ID is in use, `Invalid` or `Unsupported` for a setting,
/// `NoProgram` or `Program` if the program cannot be executed, `Hook`, or `System`.
pub fn create(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<()> {
    bring_up(store, request, Until::Created, warnings).map(drop)
}

/// Creates a container and, unless `until` is `Created`, starts its program. On an error everything is removed again.
pub(crate) fn bring_up(
    store: &Store,
    request: &Request<'_>,
    until: Until,
    warnings: &mut Vec<Error>,
) -> Result<CreatedContainer> {
    let directory = store.create(request.id)?;
    match create_in(&directory, request, until, warnings) {
        Ok(built) => Ok(CreatedContainer { directory, launch: built }),
        Err(error) => {
            let _ = directory.remove();
            Err(error)
        }
    }
}

fn create_in(
    directory: &Directory,
    request: &Request<'_>,
    until: Until,
    warnings: &mut Vec<Error>,
) -> Result<Launch> {
    let mut bundle = Bundle::read(request.bundle, request.config)?;
    // A copy: later changes of the bundle's file must not affect this container (runtime.md, "Create").
    directory.write(CONFIG, &bundle.config)?;
    let mut config = Config::decode("config.json", &mut bundle.config)?;
    let pidfd_socket = request.pid_receivers.pidfd_socket.or(config.annotation(c"run.oci.pidfd_receiver"));
    let request =
        &Request { pid_receivers: PidReceivers { pidfd_socket, ..request.pid_receivers }, ..*request };
    let systemd = ServiceEnvironment::new(directory, request)?;
    systemd.add_to(&mut config);
    config.set_seccomp_receiver(request.seccomp_receiver);
    let notify = ServiceEnvironment::listen(directory, request, until)?;
    let host = Host::read()?;
    let mut manager = Manager::new(request.manager, &config, &host.cgroups, directory)?;
    let options = Options {
        id: request.id,
        bundle: &bundle.path,
        pivot: request.pivot,
        new_keyring: request.new_keyring,
        placement: manager.placement(),
        preserve_fds: request.preserve_fds.saturating_add(request.listen_fds),
        waits_for_start: until == Until::Created,
    };
    let mut plan = Plan::new(&config, &host, &options, warnings)?;
    plan.hooks.open()?;
    let receiver = receiver(&config, request.id, &bundle.path, &plan.process, until)?;
    // Decoding and planning are done. If this fails, only more pages stay resident.
    program_text::drop_text_pages();
    let mut status =
        Status { owner: host.uid, bus: manager.address(), ..status(&config, &bundle.path, &plan) };
    // Before anything is created: `delete --force` removes what the status file names.
    status.write(directory)?;
    let cgroup = create_cgroups(&mut plan, &mut manager, directory, warnings)?;
    status.cgroup = status.cgroup.filter(|_| cgroup.is_some());
    let launched = process(directory, request, until, &mut plan, receiver, cgroup.as_ref(), &mut status);
    match (launched, cgroup) {
        (Ok((launched, relay)), cgroup) => {
            let more = status.hooks || !status.rdt.is_empty() || status.scope.is_some();
            Ok(Launch { relay, notify, has_other_resources: more, cgroup, launched })
        }
        (Err(error), _) if !directory.is_there() => Err(error),
        (Err(error), cgroup) => {
            let error = cgroup.iter().fold(error, explain);
            undo(&plan, &mut manager, cgroup);
            let _ = status.rdt.remove();
            // As with `delete`, before the hooks, so that the lock is not held while they run.
            let _ = directory.remove();
            // runtime.md, "Lifecycle": after a failure the lifecycle continues with the poststop hooks.
            plan.hooks.run_all(Point::Poststop, 0, &mut |warning| warnings.push(warning));
            Err(error)
        }
    }
}

/// Adds to an error what the cgroup reports, such as an OOM kill. Only this container has used the cgroup.
#[cold]
#[inline(never)]
fn explain(error: Error, cgroup: &Cgroup) -> Error {
    let mut error = cgroup.explain(error);
    if let Some(shortage) = OomReport::of(cgroup) {
        error.append(format_args!(": {shortage}"));
    }
    error
}

/// The content of the status file before anything is created.
fn status(config: &Config<'_>, bundle: &CString, plan: &Plan<'_>) -> Status {
    let annotations = config.annotations.iter();
    let cgroup = plan.cgroup.as_ref();
    Status {
        process: Identity::default(),
        bundle: Status::text(bundle),
        rootfs: Status::text(&plan.rootfs.path()),
        created: time::now(),
        cgroup: cgroup.map(|cgroup| cgroup.path.clone()),
        named: cgroup.is_some_and(|cgroup| matches!(cgroup.layout, Cgroups::Named)),
        scope: cgroup.and_then(|cgroup| cgroup.scope.as_ref()).map(|scope| scope.name.clone()),
        rdt: plan.rdt.as_ref().map(intelrdt::Plan::own_groups).unwrap_or_default(),
        hooks: plan.hooks.has_later(),
        early_hooks: plan.hooks.has_before_pivot(),
        oci_version: config.oci_version.into(),
        annotations: annotations.map(|(name, value)| (Status::text(name), Status::text(value))).collect(),
        ..Status::default()
    }
}

/// Connects to the receiver of the filter's listener fd, before anything is created. If `start` loads the filter
/// (no_new_privs), `start` connects.
fn receiver(
    config: &Config<'_>,
    id: &CStr,
    bundle: &CStr,
    process: &ProcessPlan<'_>,
    until: Until,
) -> Result<Option<ListenerReceiver>> {
    let here = until != Until::Created || !process.no_new_privileges;
    match &process.seccomp {
        Some(filter) if here && filter.has_listener() => ListenerReceiver::connect(config, id, bundle),
        _ => Ok(None),
    }
}

/// Creates the cgroup, if the manager can and has to, and the resctrl groups.
fn create_cgroups(
    plan: &mut Plan<'_>,
    manager: &mut Manager,
    directory: &Directory,
    warnings: &mut Vec<Error>,
) -> Result<Option<Cgroup>> {
    let cgroup = match &plan.cgroup {
        Some(planned) => {
            manager.create(planned, format_args!("{}", Description(directory)), directory, warnings)?
        }
        None => None,
    };
    if cgroup.is_none() && plan.cgroup.take().is_some() {
        plan.rootfs.without_cgroup();
    }
    match plan.rdt.as_ref().map(intelrdt::Plan::create) {
        Some(Err(error)) => {
            undo(plan, manager, cgroup);
            Err(error)
        }
        _ => Ok(cgroup),
    }
}

#[cold]
#[inline(never)]
fn undo(plan: &Plan<'_>, manager: &mut Manager, cgroup: Option<Cgroup>) {
    if let (Some(planned), Some(cgroup)) = (&plan.cgroup, cgroup) {
        manager.remove(planned, cgroup);
    }
}

/// What a container that is a systemd service gets in addition to its configuration.
struct ServiceEnvironment {
    /// `LISTEN_FDS=N`: the number of fds passed by socket activation (sd_listen_fds(3)).
    listen_fds: Option<CString>,
    /// The mount of its notification socket (sd_notify(3)).
    notify: Option<SocketMount>,
}

impl ServiceEnvironment {
    fn new(directory: &Directory, request: &Request<'_>) -> Result<Self> {
        let count = Some(request.listen_fds).filter(|count| *count > 0);
        Ok(ServiceEnvironment {
            listen_fds: count.and_then(|count| CString::new(format!("LISTEN_FDS={count}")).ok()),
            notify: request.notify_socket.map(|_| SocketMount::make(directory)).transpose()?,
        })
    }

    /// Opens the notification socket, unless `start` does.
    fn listen(directory: &Directory, request: &Request<'_>, until: Until) -> Result<Option<Notify>> {
        match request.notify_socket {
            Some(host) if until != Until::Created => Notify::listen(directory, host),
            _ => Ok(None),
        }
    }

    fn add_to<'a>(&'a self, config: &mut Config<'a>) {
        if let Some((process, count)) = config.process.as_mut().zip(self.listen_fds.as_deref()) {
            process.env.extend([count, c"LISTEN_PID=1"]);
        }
        if let Some(place) = &self.notify {
            place.add_to(config);
        }
    }
}

fn process(
    directory: &Directory,
    request: &Request<'_>,
    until: Until,
    plan: &mut Plan<'_>,
    receiver: Option<ListenerReceiver>,
    cgroup: Option<&Cgroup>,
    status: &mut Status,
) -> Result<(Launched, Option<Box<Relay>>)> {
    let console =
        Console::new(request.console_socket, plan.process.terminal.as_mut(), until == Until::Ended)?;
    let start_wait = match until {
        Until::Created => StartWait::socket(directory.fd(), directory.path())?,
        Until::Running | Until::Ended => StartWait::Parent,
    };
    let record_pid = |pid, pidfd: &OwnedFd| {
        status.process = Identity::of(pid, pidfd)?;
        status.write(directory)
    };
    let mut launched = launch(plan, directory.fd(), cgroup, &start_wait, console.childs(), record_pid)?;
    let pid = launched.pid.as_raw_nonzero().get();
    launched.listener = receiver.map(|receiver| receiver.handover(pid, State::Creating, pid));
    if plan.is_born_inside() {
        release_placeholder(cgroup);
    }
    let record = |root: &RootId| directory.record_root(root);
    let set_up = request
        .pid_receivers
        .send(launched.pid, &launched.pidfd)
        .and_then(|()| launched.supply_trees(plan))
        .and_then(|()| launched.run_hooks(&plan.hooks))
        .and_then(|()| match until {
            Until::Created => launched.ready(&start_wait, record),
            Until::Running | Until::Ended => launched.start(record),
        })
        .and_then(|()| match until {
            Until::Created => Ok(()),
            Until::Running | Until::Ended => poststart(directory, &plan.hooks, pid),
        });
    release_placeholder(cgroup);
    match set_up.and_then(|()| console.relay()) {
        Ok(relay) => Ok((launched, relay)),
        Err(error) => {
            launched.kill();
            request.pid_receivers.remove_pid_file();
            Err(error)
        }
    }
}

/// Lets the placeholder process of the scope exit. For use when the container init is in the cgroup, or failed.
fn release_placeholder(cgroup: Option<&Cgroup>) {
    if let Some(cgroup) = cgroup {
        cgroup.release_placeholder();
    }
}

/// Runs the poststart hooks, unlocked: they may call mote for this container.
fn poststart(directory: &Directory, hooks: &hooks::Plan<'_>, pid: i32) -> Result<()> {
    if !hooks.has(Point::Poststart) {
        return Ok(());
    }
    directory.unlock()?;
    let done = hooks.run(Point::Poststart, pid);
    directory.lock()?;
    done
}
