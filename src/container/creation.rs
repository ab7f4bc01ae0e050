//! A container that is being created, by `create`, `run` or `restore`: its plan, the steps with which mote makes it, and
//! their reversal.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;

use super::console::{Console, Socket};
use super::listener::ListenerReceiver;
use super::notify::Notify;
use super::pid_receivers::PidReceivers;
use super::relay::Relay;
use super::scope::Description;
use super::service::ServiceEnvironment;
use super::store::directory::Directory;
use super::store::identity::Identity;
use super::store::status::{AddedNamespaces, State, Status};
use super::time;
use crate::bundle::{Bundle, CONFIG};
use crate::cgroup::Cgroup;
use crate::cgroup::manager::{CgroupManager, Manager};
use crate::cgroup::stat::oom::OomReport;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::hooks::Point;
use crate::host::{Cgroups, Host};
use crate::intelrdt;
use crate::launch::parent::{Launched, launch};
use crate::launch::start_socket::StartWait;
use crate::namespace::{defaults, forbidden};
use crate::os::file::Source;
use crate::plan::{Options, Plan};
use crate::rootfs::id::RootId;

/// The arguments of `create` and `run`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The ID of the new container.
    pub id: &'a CStr,
    /// The directory of the bundle, as given: relative paths start at the working directory.
    pub bundle: &'a CStr,
    /// What is read instead of the bundle's config.json.
    pub config: Option<Source<'a>>,
    /// Where the PID of the container init is written and its pidfd is sent.
    pub pid_receivers: PidReceivers<'a>,
    /// The console socket, which receives the PTY master.
    pub console_socket: Option<Socket<'a>>,
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
    pub manager: &'a CgroupManager,
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

/// The owners of the text that the plan borrows.
#[derive(Default)]
pub(super) struct Sources {
    bundle: Option<Bundle>,
    service: Option<ServiceEnvironment>,
}

/// A container that is being created: its plan, and what exists of it. `plan`, `make` and `finish` are called in this
/// order; `undo` instead of `finish` if a step of `make` fails.
pub(super) struct Creation<'a> {
    pub(super) directory: &'a Directory,
    pub(super) pid_receivers: PidReceivers<'a>,
    console_socket: Option<Socket<'a>>,
    until: Until,
    warnings: &'a mut Vec<Error>,
    pub(super) plan: Plan<'a>,
    manager: Manager,
    /// The content of the status file, which names what is created.
    pub(super) status: Status,
    /// The receiver of the filter's listener fd, until the container init is launched.
    receiver: Option<ListenerReceiver>,
    notify: Option<Notify>,
    pub(super) cgroup: Option<Cgroup>,
    /// Whether the cgroup and the resctrl groups are created; the next step launches the container init.
    has_environment: bool,
    /// The container init, if it is launched but cannot be set up.
    failed: Option<Launched>,
    relay: Option<Box<Relay>>,
}

impl<'a> Creation<'a> {
    /// Reads the bundle, saves its configuration in the state directory, and makes the plan.
    // Not inlined into its caller, whose code is needed later: see scripts/layout.ld.
    #[inline(never)]
    pub(super) fn plan(
        directory: &'a Directory,
        request: &Request<'a>,
        until: Until,
        sources: &'a mut Sources,
        warnings: &'a mut Vec<Error>,
    ) -> Result<Self> {
        let bundle = sources.bundle.insert(Bundle::read(request.bundle, request.config)?);
        // A copy: later changes of the bundle's file must not affect this container (runtime.md, "Create").
        directory.write(CONFIG, &bundle.config)?;
        let mut config = Config::decode("config.json", &mut bundle.config)?;
        let PidReceivers { pid_file, pidfd_socket } = request.pid_receivers;
        let pidfd_socket = pidfd_socket.or(config.annotation(c"run.oci.pidfd_receiver"));
        let service =
            ServiceEnvironment::new(directory, request.listen_fds, request.notify_socket.is_some())?;
        sources.service.insert(service).add_to(&mut config);
        config.set_seccomp_receiver(request.seccomp_receiver);
        let is_started = until != Until::Created;
        // Otherwise `start` listens.
        let notify = request.notify_socket.filter(|_| is_started);
        let notify = notify.map(|host| Notify::listen(directory, host)).transpose()?.flatten();
        let host = Host::read()?;
        let added = AddedNamespaces { user: defaults::complete(&mut config, &host, warnings), time: false };
        let manager = Manager::new(request.manager, &config, &host.cgroups, directory)?;
        let options = Options {
            id: request.id,
            bundle: &bundle.path,
            pivot: request.pivot,
            new_keyring: request.new_keyring,
            placement: manager.placement(),
            preserve_fds: request.preserve_fds.saturating_add(request.listen_fds),
            waits_for_start: !is_started,
        };
        let mut plan = Plan::new(&config, &host, &options, warnings)?;
        plan.hooks.open()?;
        // Otherwise `start` loads the filter, and connects.
        let connects = is_started || !plan.process.no_new_privileges;
        let filter = plan.process.seccomp.as_ref().filter(|filter| connects && filter.has_listener());
        let receiver = filter.map(|_| ListenerReceiver::connect(&config, request.id, &bundle.path));
        let receiver = receiver.transpose()?.flatten();
        let known = status(&config, &bundle.path, &plan);
        let status = Status { owner: host.uid, bus: manager.address(), added, ..known };
        Ok(Creation {
            directory,
            pid_receivers: PidReceivers { pid_file, pidfd_socket },
            console_socket: request.console_socket,
            until,
            warnings,
            plan,
            manager,
            status,
            receiver,
            notify,
            cgroup: None,
            has_environment: false,
            failed: None,
            relay: None,
        })
    }

    /// Creates what is planned, step by step, and returns the container init.
    pub(super) fn make(&mut self) -> Result<Launched> {
        self.make_environment()?;
        let console = self.console()?;
        let start_wait = self.start_wait()?;
        let mut launched = self.launch(&console, &start_wait)?;
        match self.set_up(&mut launched, console, &start_wait) {
            Ok(()) => Ok(launched),
            Err(error) => {
                self.failed = Some(launched);
                Err(error)
            }
        }
    }

    /// Creates what exists before the container init does.
    #[inline(always)] // Into `make`: see scripts/layout.ld.
    pub(super) fn make_environment(&mut self) -> Result<()> {
        // Before anything is created: `delete --force` removes what the status file names.
        self.status.write(self.directory)?;
        self.create_cgroup()?;
        self.plan.rdt.as_ref().map_or(Ok(()), intelrdt::Plan::create)?;
        self.has_environment = true;
        Ok(())
    }

    /// Creates the cgroup, if the manager can and has to.
    fn create_cgroup(&mut self) -> Result<()> {
        if let Some(planned) = &self.plan.cgroup {
            let description = format_args!("{}", Description(self.directory));
            self.cgroup = self.manager.create(planned, description, self.directory, self.warnings)?;
        }
        if self.cgroup.is_none() && self.plan.cgroup.take().is_some() {
            self.plan.rootfs.without_cgroup();
            self.status.cgroup = None;
        }
        Ok(())
    }

    /// The destination of the PTY master.
    pub(super) fn console(&mut self) -> Result<Console> {
        let is_attended = self.until == Until::Ended;
        Console::new(self.console_socket, self.plan.process.terminal.as_mut(), is_attended)
    }

    /// The place where the container init waits to be started.
    fn start_wait(&self) -> Result<StartWait> {
        match self.until {
            Until::Created => StartWait::socket(self.directory.fd(), self.directory.path()),
            Until::Running | Until::Ended => Ok(StartWait::Parent),
        }
    }

    /// Clones the container init, and records its PID before it gets its first `Go`.
    fn launch(&mut self, console: &Console, start_wait: &StartWait) -> Result<Launched> {
        let (directory, status) = (self.directory, &mut self.status);
        let record_pid = |pid, pidfd: &OwnedFd| {
            status.process = Identity::of(pid, pidfd)?;
            status.write(directory)
        };
        let (plan, cgroup, receiver) = (&mut self.plan, self.cgroup.as_ref(), self.receiver.take());
        let mut launched = launch(plan, directory.fd(), cgroup, start_wait, console.childs(), record_pid)?;
        let pid = launched.pid.as_raw_nonzero().get();
        launched.listener = receiver.map(|receiver| receiver.handover(pid, State::Creating, pid));
        if self.plan.is_born_inside() {
            self.release_placeholder();
        }
        Ok(launched)
    }

    /// Sets up the container init and records its root; unless `until` is `Created`, starts its program.
    fn set_up(&mut self, launched: &mut Launched, console: Console, start_wait: &StartWait) -> Result<()> {
        self.pid_receivers.send(launched.pid, &launched.pidfd)?;
        launched.run_hooks(&self.plan)?;
        let record = |root: &RootId| self.directory.record_root(root);
        match self.until {
            Until::Created => launched.ready(&self.plan, start_wait, record)?,
            Until::Running | Until::Ended => {
                launched.start(&self.plan, record)?;
                self.run_poststart_hooks(launched.pid.as_raw_nonzero().get())?;
            }
        }
        self.release_placeholder();
        self.relay = console.relay()?;
        Ok(())
    }

    /// Runs the poststart hooks, unlocked: they may call mote for this container.
    fn run_poststart_hooks(&self, pid: i32) -> Result<()> {
        if !self.plan.hooks.has(Point::Poststart) {
            return Ok(());
        }
        self.directory.unlock()?;
        let done = self.plan.hooks.run(Point::Poststart, pid);
        self.directory.lock()?;
        done
    }

    /// Lets the placeholder process of the scope exit. For use when the container init is in the cgroup, or failed.
    pub(super) fn release_placeholder(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.release_placeholder();
        }
    }

    /// The resources that the command goes on to hold.
    pub(super) fn finish(self, launched: Launched) -> Launch {
        let Creation { status, relay, notify, cgroup, .. } = self;
        let has_other_resources = status.hooks || !status.rdt.is_empty() || status.scope.is_some();
        Launch { relay, notify, has_other_resources, cgroup, launched }
    }

    /// Removes what exists, after a step of `make` failed. Returns the error with what the cgroup adds to it.
    #[cold]
    #[inline(never)]
    pub(super) fn undo(mut self, mut error: Error) -> Error {
        if let Some(launched) = self.failed.take() {
            self.release_placeholder();
            launched.kill();
            self.pid_receivers.remove_pid_file();
        }
        forbidden::explain(&mut error, self.plan.maps.is_some());
        // Another command has deleted the container, with all that its status file names.
        if !self.directory.is_there() {
            return error;
        }
        if let (Some(planned), Some(cgroup)) = (&self.plan.cgroup, self.cgroup.take()) {
            if self.has_environment {
                error = explain(error, &cgroup);
            }
            self.manager.remove(planned, cgroup);
        }
        if self.has_environment {
            let _ = self.status.rdt.remove();
        }
        // As with `delete`, before the hooks, so that the lock is not held while they run.
        let _ = self.directory.remove();
        // runtime.md, "Lifecycle": after a failure the lifecycle continues with the poststop hooks.
        if self.has_environment {
            self.plan.hooks.run_all(Point::Poststop, 0, &mut |warning| self.warnings.push(warning));
        }
        error
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
