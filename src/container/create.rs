//! `create`, and the part of it that `run` shares: from a bundle to a process that waits to be started.

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

/// What `create` and `run` are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub id: &'a CStr,
    /// As given: relative paths count from the working directory.
    pub bundle: &'a CStr,
    /// Another file than the bundle's config.json.
    pub config: Option<&'a CStr>,
    pub pid_receivers: PidReceivers<'a>,
    /// A socket that is sent the master of the process's terminal.
    pub console_socket: Option<&'a CStr>,
    pub preserve_fds: u32,
    /// How many descriptors, after those, were passed to mote for the container's process (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// NOTIFY_SOCKET of mote's own environment, where the readiness of the container is reported.
    pub notify_socket: Option<&'a CStr>,
    /// RUN_OCI_SECCOMP_RECEIVER of it: who takes the listener of a filter where the configuration names nobody.
    pub seccomp_receiver: Option<&'a CStr>,
    pub pivot: bool,
    pub new_keyring: bool,
    pub manager: &'a Requested,
}

/// When `bring_up` and its caller return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is created: it waits for `start`.
    Created,
    /// Until its program runs.
    Running,
    /// Until its program has ended.
    Ended,
}

/// A container whose process is launched.
pub struct CreatedContainer {
    pub directory: Directory,
    pub launch: Launch,
}

/// The process of a container and what belongs to it.
pub struct Launch {
    /// To its terminal, if mote stays.
    pub relay: Option<Box<Relay>>,
    /// The notify sockets, if mote stays until the container is ready.
    pub notify: Option<Notify>,
    /// There is more to its end than its cgroup's: hooks, groups of resctrl.
    pub has_other_resources: bool,
    pub cgroup: Option<Cgroup>,
    pub launched: Launched,
}

/// Creates a container, whose process then waits for `start`.
pub fn create(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<()> {
    bring_up(store, request, Until::Created, warnings).map(drop)
}

/// Brings a container up. When it fails nothing is left.
pub fn bring_up(
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
    // As it is now: later changes to the bundle's file are not this container's (runtime.md, "Create").
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
    // Nothing decodes or plans any more. Where the kernel will not, a little more is resident.
    program_text::drop_text_pages();
    let mut status =
        Status { owner: host.uid, bus: manager.address(), ..status(&config, &bundle.path, &plan) };
    // Before anything is made: what is in it is what `delete --force` will look for.
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
            // As with `delete`, before its hooks: nobody is to wait for those.
            let _ = directory.remove();
            // runtime.md, "Lifecycle": what fails from here on goes on with its end.
            plan.hooks.run_all(Point::Poststop, 0, &mut |warning| warnings.push(warning));
            Err(error)
        }
    }
}

/// The same error, with what the cgroup tells of it: nobody else has been in that.
#[cold]
#[inline(never)]
fn explain(error: Error, cgroup: &Cgroup) -> Error {
    let mut error = cgroup.explain(error);
    if let Some(shortage) = OomReport::of(cgroup) {
        error.append(format_args!(": {shortage}"));
    }
    error
}

/// What is written down of it before anything is made.
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

/// Connects to the receiver of the filter's listener fd, before anything is created. With no_new_privs the filter is loaded after `start`:
/// then `start` sees to it.
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

/// Makes its cgroup, where that can and need be, and its groups of resctrl.
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

/// What a service of systemd has beside its configuration.
struct ServiceEnvironment {
    /// The variable for descriptors that it listens on.
    listen_fds: Option<CString>,
    /// Where it says that it is ready.
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

    /// Listens for the readiness of the container, unless `start` will.
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
    let known = |pid, pidfd: &OwnedFd| {
        status.process = Identity::of(pid, pidfd)?;
        status.write(directory)
    };
    let mut launched = launch(plan, directory.fd(), cgroup, &start_wait, console.childs(), known)?;
    let pid = launched.pid.as_raw_nonzero().get();
    launched.listener = receiver.map(|receiver| receiver.handover(pid, State::Creating, pid));
    if plan.is_born_inside() {
        release_placeholder(cgroup);
    }
    let record = |root: &RootId| directory.record_root(root);
    let accompanied = request
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
    match accompanied.and_then(|()| console.relay()) {
        Ok(relay) => Ok((launched, relay)),
        Err(error) => {
            launched.kill();
            request.pid_receivers.remove_pid_file();
            Err(error)
        }
    }
}

/// Its process is in the cgroup, or will never be.
fn release_placeholder(cgroup: Option<&Cgroup>) {
    if let Some(cgroup) = cgroup {
        cgroup.release_placeholder();
    }
}

/// The container runs: its hooks may do with it what others may.
fn poststart(directory: &Directory, hooks: &hooks::Plan<'_>, pid: i32) -> Result<()> {
    if !hooks.has(Point::Poststart) {
        return Ok(());
    }
    directory.unlock()?;
    let done = hooks.run(Point::Poststart, pid);
    directory.lock()?;
    done
}
