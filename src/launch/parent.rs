//! The steps of the parent: from the plan to a container init that is set up and started.

use alloc::boxed::Box;
use alloc::vec::Vec;

use linux_raw_sys::general::CLONE_NEWNS;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, set_dumpable_behavior};

use super::init::{self, FromParent};
use super::intermediate::{clone_through_intermediate, is_unsupported};
use super::listener::ListenerHandover;
use super::message::{Channel, Message};
use super::pinned;
use super::start_socket::StartWait;
use crate::cgroup::{Cgroup, CgroupFds};
use crate::config::linux::NamespaceKind;
use crate::error::{self, Error, Kind, On, Result};
use crate::hooks::Point;
use crate::host;
use crate::namespace;
use crate::namespace::device::Moved;
use crate::namespace::idmap::UserNamespaces;
use crate::os::procfs;
use crate::plan::Plan;
use crate::rootfs::id::RootId;
use crate::rootfs::mount_namespace::{CLONE_EMPTY_MNTNS, Creator};
use crate::rootfs::source::Request;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::fd::close_together;
use crate::sys::pidfd::{has_executed, reap, wait_end};
use crate::sys::self_exe;
use crate::sys::signal::send_to_child;

/// A process that is being set up.
pub struct Launched {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub(super) channel: Channel,
    /// The receiver of the filter's listener fd, if the filter is loaded before the program is started.
    pub listener: Option<ListenerHandover>,
    /// Network interfaces that are moved back if the program is not executed.
    pub(super) moved_devices: Option<Box<Moved>>,
    /// The user namespace given by path, which owns idmapped mounts that the child may request.
    pub(super) joined_user: Option<OwnedFd>,
    /// Whether the host's mounts were copied because no mount namespace is pinned.
    was_copied: bool,
}

/// Clones the container init, and makes the steps that only its parent can. `directory` is the state directory, locked;
/// `console` is the socket that receives the PTY master. `record_pid` is called before the child gets its first `Go`.
/// On an error no process is left.
pub fn launch(
    plan: &mut Plan<'_>,
    directory: BorrowedFd<'_>,
    cgroup: Option<&Cgroup>,
    start_wait: &StartWait,
    console: Option<BorrowedFd<'_>>,
    record_pid: impl FnOnce(Pid, &OwnedFd) -> Result<()>,
) -> Result<Launched> {
    let checks_setgroups = plan.process.checks_setgroups();
    let proc = procfs::open_if(checks_setgroups || plan.needs_proc(), plan.process.own_procfs)?;
    let namespaces = plan.namespaces.open()?;
    let intermediate = plan.namespaces.needs_intermediate();
    let cgroup_fds = open_cgroup_fds(plan, cgroup)?;
    open_trees(plan, &namespaces)?;
    let mounts = without_host(plan, directory);
    let guards = plan.process.apply_to_parent(proc.as_ref())?;

    error::reserve();
    let (channel, child_channel) = Channel::pair()?;
    let exe = plan.process.own_procfs.then(self_exe::open).flatten();
    let back = if intermediate { Vec::new() } else { plan.namespaces.join_before(&namespaces)? };
    let from_parent = |child_channel, joined, mounts| FromParent {
        channel: child_channel,
        start_wait,
        namespaces: &namespaces,
        cgroup_fds: &cgroup_fds,
        proc: proc.as_ref(),
        setgroups: proc.as_ref().filter(|_| checks_setgroups),
        self_exe: exe.as_ref(),
        mounts,
        joined,
        console,
        parent_fds: [cgroup.map(Cgroup::root), Some(directory), cgroup_fds.birth(), Some(channel.fd())],
    };
    make_non_dumpable(plan)?;
    let spawned = if intermediate {
        let joined = plan.namespaces.is_joined(NamespaceKind::User);
        let join = |plan: &mut &mut Plan<'_>| join_in_intermediate(plan, &namespaces);
        let new = [plan.namespaces.new | if mounts.0 { CLONE_EMPTY_MNTNS } else { 0 }, plan.namespaces.new];
        clone_through_intermediate(&new, &mut *plan, join, |plan, new| {
            let mounts = mount_creator(plan, new & CLONE_EMPTY_MNTNS != 0, None);
            init::run(plan, from_parent(child_channel, joined, mounts))
        })
        .map(|(pid, pidfd)| (pid, pidfd, false))
    } else {
        clone_child(plan, child_channel, &cgroup_fds, cgroup, mounts, from_parent)
    };
    namespace::restore(&back)?;
    drop(guards);
    close_together(cgroup_fds.into_files().chain(plan.rootfs.take_trees()));
    let (pid, pidfd, was_copied) = spawned?;
    let mut launched = Launched { was_copied, ..Launched::new(pid, pidfd, channel) };
    let recorded = record_pid(launched.pid, &launched.pidfd)
        .and_then(|()| launched.set_up_from_parent(plan, proc.as_ref(), namespaces, cgroup));
    match recorded {
        Ok(()) => Ok(launched),
        Err(error) => Err(launched.kill_after(error)),
    }
}

/// Makes this process non-dumpable, and so the child, if the child shares a namespace with other processes: they must
/// not access it while it has the host's memory, fds and privileges (CVE-2016-9962), not even before the child can make
/// itself non-dumpable.
fn make_non_dumpable(plan: &Plan<'_>) -> Result<()> {
    match plan.namespaces.exposes_child() {
        true => {
            set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))
        }
        false => Ok(()),
    }
}

fn join_in_intermediate(plan: &Plan<'_>, namespaces: &[OwnedFd]) -> Result<()> {
    plan.process.user.drop_groups();
    plan.namespaces.join_in_intermediate(namespaces)
}

/// Clones the container init as a child of this process. `empty`: with an empty mount namespace, if the kernel can, or
/// else as a copy of the one that is pinned beside the state directory `enters`, if the child has the rights to enter it.
/// Returns also whether the host's mounts were copied only because none is pinned.
// Not inlined into its caller, since the child runs in it: see scripts/layout.ld.
#[inline(never)]
fn clone_child<'h>(
    plan: &mut Plan<'_>,
    channel: Channel,
    cgroup_fds: &CgroupFds,
    cgroup: Option<&Cgroup>,
    (mut empty, enters): (bool, Option<BorrowedFd<'_>>),
    from_parent: impl Fn(Channel, bool, Creator) -> FromParent<'h>,
) -> Result<(Pid, OwnedFd, bool)> {
    let (mut channel, mut is_threaded, mut copied) = (Some(channel), false, false);
    let mut mounts = Some(mount_creator(plan, empty, None));
    loop {
        let new = plan.namespaces.new;
        let new = match mounts {
            Some(Creator::CloneEmpty) => new | CLONE_EMPTY_MNTNS,
            Some(Creator::Child(_)) => new & !u64::from(CLONE_NEWNS),
            _ => new,
        };
        let spawned = spawn(new, cgroup_fds.birth(), || match channel.take().zip(mounts.take()) {
            Some((channel, mounts)) => init::run(plan, from_parent(channel, false, mounts)),
            None => exit(1),
        });
        match (spawned, cgroup) {
            (Err(errno), _) if empty && is_unsupported(errno) => {
                empty = false;
                let pinned = enters.and_then(pinned::open);
                copied = enters.is_some() && pinned.is_none();
                mounts = Some(mount_creator(plan, false, pinned));
            }
            // A new cgroup below a threaded one is "domain invalid", and takes no process until it is threaded too
            // (cgroups(7)). Only the failure shows it.
            (Err(Errno::OPNOTSUPP), Some(cgroup)) if !is_threaded && cgroup.make_threaded()? => {
                is_threaded = true
            }
            (spawned, _) => {
                return spawned.map(|(pid, pidfd)| (pid, pidfd, copied)).on(format_args!("clone3"));
            }
        }
    }
}

/// Whether the mount namespace can do without the host's mounts, and the state directory if the child has the rights to
/// enter a pinned one: it has none in a user namespace.
fn without_host<'d>(plan: &mut Plan<'_>, directory: BorrowedFd<'d>) -> (bool, Option<BorrowedFd<'d>>) {
    let user = plan.namespaces.has(NamespaceKind::User) || host::in_user_namespace();
    let empty = plan.namespaces.is_new(NamespaceKind::Mount) && plan.rootfs.can_be_without_host(user);
    (empty, (!user).then_some(directory))
}

fn mount_creator(plan: &Plan<'_>, empty: bool, pinned: Option<OwnedFd>) -> Creator {
    match pinned {
        _ if !plan.namespaces.has(NamespaceKind::Mount) => Creator::Nobody,
        _ if empty => Creator::CloneEmpty,
        Some(pinned) => Creator::Child(pinned),
        None => Creator::Clone,
    }
}

fn open_cgroup_fds(plan: &Plan<'_>, cgroup: Option<&Cgroup>) -> Result<CgroupFds> {
    let (Some(planned), Some(cgroup)) = (&plan.cgroup, cgroup) else { return Ok(CgroupFds::default()) };
    planned.open_fds(cgroup, plan.is_born_inside())
}

// Not inlined into its caller: see scripts/layout.ld.
#[inline(never)]
pub(super) fn open_trees(plan: &mut Plan<'_>, namespaces: &[OwnedFd]) -> Result<()> {
    let mut owners = UserNamespaces::new(plan.namespaces.joined_of(NamespaceKind::User, namespaces));
    plan.rootfs.open_sources(&mut |mappings| owners.get(mappings))
}

impl Launched {
    /// A process that was just cloned.
    pub(super) fn new(pid: Pid, pidfd: OwnedFd, channel: Channel) -> Self {
        Launched {
            pid,
            pidfd,
            channel,
            listener: None,
            moved_devices: None,
            joined_user: None,
            was_copied: false,
        }
    }

    /// The steps for the child that need the parent's privileges, most of them for a new user namespace. Sends the
    /// first `Go`, if the child waits for it.
    fn set_up_from_parent(
        &mut self,
        plan: &Plan<'_>,
        proc: Option<&OwnedFd>,
        namespaces: Vec<OwnedFd>,
        cgroup: Option<&Cgroup>,
    ) -> Result<()> {
        cgroup.map_or(Ok(()), |cgroup| cgroup.attach(self.pid))?;
        if let (Some(maps), Some(proc)) = (&plan.maps, proc) {
            maps.apply(proc, self.pid)?;
        }
        if let Some(rdt) = &plan.rdt {
            rdt.join(self.pid)?;
        }
        if !plan.devices.is_empty() {
            let joined = plan.namespaces.joined_of(NamespaceKind::Network, &namespaces);
            self.moved_devices = Some(plan.devices.apply(joined, self.pid, &self.pidfd)?);
        }
        if plan.needs_parent() {
            self.channel.send(&Message::Go);
        }
        self.joined_user = plan.namespaces.take_joined(NamespaceKind::User, namespaces);
        Ok(())
    }

    /// Runs the hooks in the runtime namespace, while the child waits before pivot_root.
    pub fn run_hooks(&mut self, plan: &Plan<'_>) -> Result<()> {
        let hooks = &plan.hooks;
        if !hooks.has_before_pivot() {
            return Ok(());
        }
        match self.setup_message(plan)? {
            Message::Mounted => {}
            other => return Err(self.failure(other)),
        }
        let pid = self.pid.as_raw_nonzero().get();
        hooks.run_beside(Point::Prestart, pid, &self.pidfd)?;
        hooks.run_beside(Point::CreateRuntime, pid, &self.pidfd)?;
        self.channel.send(&Message::Go);
        Ok(())
    }

    /// Waits until the child is set up, calls `record` with its root, and makes the child wait at the start socket.
    pub fn ready(
        &mut self,
        plan: &Plan<'_>,
        start_wait: &StartWait,
        record: impl FnOnce(&RootId) -> Result<()>,
    ) -> Result<()> {
        match self.setup_message(plan)? {
            Message::Ready(root) => {
                start_wait.listen()?;
                record(&root)?;
                self.channel.send(&Message::Go);
                Ok(())
            }
            other => Err(self.failure(other)),
        }
    }

    /// Waits until the child is set up, calls `record` with its root, starts the program and waits until it runs. The
    /// root is recorded before that.
    pub fn start(&mut self, plan: &Plan<'_>, record: impl FnOnce(&RootId) -> Result<()>) -> Result<()> {
        match self.setup_message(plan)? {
            Message::Ready(root) => record(&root)?,
            other => return Err(self.failure(other)),
        }
        self.go()
    }

    /// Starts the program of a child that is set up, and waits until it runs.
    pub fn go(&mut self) -> Result<()> {
        self.channel.send(&Message::Go);
        match self.receive()? {
            Message::End if has_executed(&self.pidfd) => {
                self.moved_devices = None;
                Ok(())
            }
            other => Err(self.failure(other)),
        }
    }

    /// Receives the next message of a child that is being set up, after sending the mount trees that it requests.
    fn setup_message(&mut self, plan: &Plan<'_>) -> Result<Message> {
        loop {
            match self.receive()? {
                Message::RequestTrees(request) => self.send_trees(plan, request)?,
                message => return Ok(message),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn send_trees(&self, plan: &Plan<'_>, request: Request) -> Result<()> {
        let mut owners = UserNamespaces::new(self.joined_user.as_ref());
        let trees = plan.rootfs.answer(request, &mut |mappings| owners.get(mappings))?;
        self.channel.send_trees(&trees)
    }

    /// Receives the next message, after handing over the listener fd if the child announces one.
    fn receive(&mut self) -> Result<Message> {
        match self.channel.receive()? {
            Message::FilterListener(number) if let Some(listener) = self.listener.take() => {
                listener.hand_over(&self.channel, &self.pidfd, number)
            }
            message => Ok(message),
        }
    }

    /// The error for an unexpected message: the child's own, or its death.
    fn failure(&self, message: Message) -> Error {
        match message {
            Message::Failed(error) => error,
            _ => {
                let mut space = [0u8; 16];
                // The wait is short: the child has closed its end.
                let (what, how) = (self.setup_stage(&mut space), How(wait_end(&self.pidfd)));
                Error::new(
                    Kind::State,
                    format_args!("the container's process died while its {what} was set up: {how}"),
                )
            }
        }
    }

    /// The step that the child was at, from its `comm` (`init.rs`, `set_stage_name`).
    fn setup_stage<'s>(&self, space: &'s mut [u8; 16]) -> &'s str {
        let name = procfs::read_process_file(self.pid.as_raw_nonzero().get(), "comm", space);
        let name = name.ok().and_then(|name| core::str::from_utf8(name).ok());
        name.and_then(|name| name.trim().strip_prefix("mote: ")).unwrap_or("container")
    }

    /// Pins a mount namespace for the containers that are created later, if this one was created with a copy of many
    /// mounts.
    pub fn prepare_next(&self, directory: BorrowedFd<'_>) {
        if self.was_copied {
            pinned::provide(directory);
        }
    }

    /// Kills the child after an error of the parent. Returns the child's own error if it had failed before, which then is
    /// the cause: files of a process that has exited cannot be opened.
    #[cold]
    #[inline(never)]
    fn kill_after(&self, error: Error) -> Error {
        self.kill();
        match self.channel.receive() {
            Ok(Message::Failed(cause)) => cause,
            _ => error,
        }
    }

    /// Kills and reaps the child.
    pub fn kill(&self) {
        // Before its network namespace is destroyed with the devices in it.
        if let Some(moved) = &self.moved_devices {
            moved.give_back();
        }
        let _ = send_to_child(self.pid, &self.pidfd, Signal::KILL.as_raw());
        reap(&self.pidfd);
    }
}
