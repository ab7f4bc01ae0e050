//! The steps of parent and child for an exec process.

use alloc::vec::Vec;
use core::convert::Infallible;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior, setsid};

use super::finish::{self, FoundProgram};
use super::intermediate::clone_through_intermediate;
use super::message::{Channel, Message};
use super::parent::Launched;
use crate::cgroup::{Cgroup, CgroupFds, JoinTime};
use crate::error::{self, On, Result};
use crate::os::procfs;
use crate::plan::ExecPlan;
use crate::process::terminal;
use crate::process::user::is_setgroups_denied;
use crate::rootfs::id::Expected;
use crate::rootfs::mount_namespace::change_root;
use crate::rootfs::path::Root;
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::{close_in_child, close_together};
use crate::sys::self_exe;

/// The container that the process is added to.
#[derive(Clone, Copy)]
pub struct ExecTarget<'h> {
    /// The container init.
    pub init: &'h OwnedFd,
    pub cgroup: Option<&'h Cgroup>,
    /// The console socket, which gets the PTY master.
    pub console: Option<BorrowedFd<'h>>,
    /// Whether its cgroup is frozen: a process that joins it stops.
    pub is_frozen: bool,
    /// The container's root, checked after joining.
    pub root: Expected,
    /// The root directory of the container init, if it has no mount namespace.
    pub directory: Option<&'h OwnedFd>,
}

/// What the child inherits from its parent besides the plan.
struct Inherited<'h> {
    target: ExecTarget<'h>,
    channel: &'h Channel,
    /// The fds that the child uses.
    needed_fds: Vec<RawFd>,
    cgroup_fds: &'h CgroupFds,
    /// The host's procfs, if the plan needs it.
    proc: Option<&'h OwnedFd>,
    /// The host's procfs, if the child has to read from it whether setgroups(2) is denied.
    setgroups: Option<&'h OwnedFd>,
    /// /proc/self/exe, opened.
    self_exe: Option<&'h OwnedFd>,
    /// Whether the intermediate process has joined the namespaces already.
    joined: bool,
}

/// Clones a process in the container, which then waits for [`Launched::go`]. On an error no process is left.
pub fn launch(plan: &ExecPlan<'_>, target: ExecTarget<'_>) -> Result<Launched> {
    let checks_setgroups = plan.process.checks_setgroups();
    let proc = procfs::open_if(checks_setgroups || plan.process.needs_proc(), plan.process.own_procfs)?;
    let guards = plan.process.apply_to_parent(proc.as_ref())?;
    // The child is visible in the container as soon as it is cloned, and has the host's memory, fds and privileges
    // (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    plan.affinity.apply()?;
    error::reserve();
    let (channel, child_channel) = Channel::pair()?;
    let exe = plan.process.own_procfs.then(self_exe::open).flatten();
    let attempt = |birth| {
        let cgroup_fds = target.cgroup.map(|cgroup| cgroup.open_fds(birth)).transpose()?.unwrap_or_default();
        let others = [Some(target.init), target.directory, proc.as_ref(), exe.as_ref()].into_iter().flatten();
        let numbers = others.map(AsRawFd::as_raw_fd).chain(target.console.map(|console| console.as_raw_fd()));
        let spawned = clone(
            plan,
            Inherited {
                target,
                channel: &child_channel,
                needed_fds: numbers.chain([child_channel.raw_fd()]).chain(cgroup_fds.numbers()).collect(),
                cgroup_fds: &cgroup_fds,
                proc: proc.as_ref(),
                setgroups: proc.as_ref().filter(|_| checks_setgroups),
                self_exe: exe.as_ref(),
                joined: false,
            },
        );
        close_together(cgroup_fds.into_files());
        spawned
    };
    // Not into a frozen cgroup, where the child would stop while it still has the host's memory and fds.
    let birth = plan.join == JoinTime::AtClone && !plan.namespaces.has_user() && !target.is_frozen;
    let (pid, pidfd) = match attempt(birth) {
        // `pids.max` limits clone, but not moving a process into the cgroup (cgroup-v2.rst, "Organisational operations
        // are not blocked"), so that `exec` works in a full container too.
        Err(error) if birth && error.is(Errno::AGAIN) => attempt(false)?,
        spawned => spawned?,
    };
    drop(guards);
    let launched = Launched::new(pid, pidfd, channel);
    match set_up_from_parent(plan, target.cgroup, launched.pid) {
        Ok(()) => Ok(launched),
        Err(error) => {
            launched.kill();
            Err(error)
        }
    }
}

/// The steps for the child that need the parent's privileges.
fn set_up_from_parent(plan: &ExecPlan<'_>, cgroup: Option<&Cgroup>, pid: Pid) -> Result<()> {
    cgroup.map_or(Ok(()), |cgroup| cgroup.attach(pid))?;
    plan.rdt.as_ref().map_or(Ok(()), |rdt| rdt.join(pid))
}

fn clone(plan: &ExecPlan<'_>, inherited: Inherited<'_>) -> Result<(Pid, OwnedFd)> {
    let init = inherited.target.init;
    if plan.namespaces.has_user() {
        let join = |_: &mut Inherited<'_>| {
            plan.process.user.drop_groups();
            plan.namespaces.join(init, true)
        };
        return clone_through_intermediate(&[0], inherited, join, |inherited, _| {
            run(plan, Inherited { joined: true, ..inherited })
        });
    }
    plan.namespaces.join_before(init)?;
    let birth = inherited.cgroup_fds.birth();
    spawn(0, birth, || run(plan, inherited)).on(format_args!("clone3"))
}

/// Runs the child. It never returns.
fn run(plan: &ExecPlan<'_>, mut inherited: Inherited<'_>) -> Infallible {
    // First: a process in the container with CAP_SYS_PTRACE may see the child and open its fds.
    let closed = plan.process.fds.apply(&mut inherited.needed_fds);
    let error = match closed.and_then(|()| set_up(plan, &inherited)) {
        Ok(program) => match inherited.channel.receive() {
            Ok(Message::Go) => finish::become_program(&plan.process, &program, inherited.channel, || Ok(())),
            // The parent has exited: no process reads the error.
            _ => exit(1),
        },
        Err(error) => error,
    };
    finish::fail(inherited.channel, error)
}

fn set_up(plan: &ExecPlan<'_>, inherited: &Inherited<'_>) -> Result<FoundProgram> {
    // Before the container is joined: from here on mote's executable is not mapped in this process.
    self_exe::replace(inherited.self_exe, false).map_err(finish::not_replaced)?;
    setsid().on(format_args!("setsid"))?;
    if let Some(proc) = inherited.proc {
        plan.process.label.apply(proc)?;
    }
    plan.process.keyring.apply(inherited.proc)?;
    // The user namespace is joined already. Read before the others are joined, whose processes may see the open fds.
    let denied = inherited.setgroups.map_or(Ok(false), is_setgroups_denied)?;
    inherited.proc.map(AsFd::as_fd).into_iter().for_each(close_in_child);

    // In one setns(2): the kernel joins them in an order in which each is permitted.
    if !inherited.joined {
        plan.namespaces.join(inherited.target.init, false)?;
    }
    inherited.target.directory.map_or(Ok(()), |directory| change_root(directory.as_fd()))?;
    // Before anything is changed or looked up in the container.
    inherited.target.root.check()?;
    if plan.process.user_namespace {
        plan.process.user.become_root()?;
    }
    // Late, so that the steps until now are not charged to the container.
    inherited.cgroup_fds.enter()?;
    // "/" is the container's root now.
    let root = open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = Root::new(root.on(format_args!("openat /"))?);
    if let (Some(terminal), Some(console)) = (plan.process.terminal, inherited.target.console) {
        terminal::take(terminal.open(&root, console)?)?;
    }
    finish::identity(&plan.process, root, (false, denied), inherited.channel, [-1; 4])
}
