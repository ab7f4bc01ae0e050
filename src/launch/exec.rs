//! A process that joins a container (`exec`): its parent's list, and its own.

use alloc::vec::Vec;
use core::convert::Infallible;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior, setsid};

use super::finish::{self, Program};
use super::message::{Channel, Message};
use super::parent::{Launched, through_middle};
use crate::cgroup::{Cgroup, CgroupFds, Join};
use crate::error::{self, On, Result};
use crate::host;
use crate::plan::ExecPlan;
use crate::process::terminal;
use crate::process::user::{become_root, is_setgroups_denied};
use crate::rootfs::id::Expected;
use crate::rootfs::path::Root;
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::{close_in_child, close_together};
use crate::sys::self_exe;

/// The container that is joined.
#[derive(Clone, Copy)]
pub struct Target<'h> {
    /// Its first process.
    pub init: &'h OwnedFd,
    pub cgroup: Option<&'h Cgroup>,
    /// Where the master of the process's terminal goes.
    pub console: Option<BorrowedFd<'h>>,
    /// Its cgroup is frozen: who goes in stops there.
    pub frozen: bool,
    /// The root that a process has there.
    pub root: Expected,
}

/// What the child has from its parent besides the plan.
struct Inherited<'h> {
    container: Target<'h>,
    channel: &'h Channel,
    /// All descriptors that the child has a use for.
    kept: Vec<RawFd>,
    doors: &'h CgroupFds,
    /// The host's procfs, when the plan needs it.
    proc: Option<&'h OwnedFd>,
    /// The same, when whether setgroups(2) is denied is to be read there.
    setgroups: Option<&'h OwnedFd>,
    /// This program's file.
    own: Option<&'h OwnedFd>,
    /// The middle process has joined the namespaces already.
    joined: bool,
}

/// Starts a process in the container, up to where it waits for [`Launched::go`]. When this fails there is
/// none.
pub fn launch(plan: &ExecPlan<'_>, container: Target<'_>) -> Result<Launched> {
    let asks = plan.process.asks_for_groups();
    let proc = (asks || plan.process.needs_proc()).then(host::proc).transpose()?;
    let lent = plan.process.lend(proc.as_ref())?;
    // The child may be seen in the container from its first moment on, with the host's memory, descriptors
    // and rights (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    plan.affinity.apply()?;
    error::reserve();
    let (channel, childs) = Channel::pair()?;
    let own = self_exe::open();
    let attempt = |birth| {
        let doors = container.cgroup.map(|cgroup| cgroup.doors(birth)).transpose()?.unwrap_or_default();
        let others = [Some(container.init), proc.as_ref(), own.as_ref()].into_iter().flatten();
        let numbers =
            others.map(AsRawFd::as_raw_fd).chain(container.console.map(|console| console.as_raw_fd()));
        let spawned = clone(
            plan,
            Inherited {
                container,
                channel: &childs,
                kept: numbers.chain([childs.number()]).chain(doors.numbers()).collect(),
                doors: &doors,
                proc: proc.as_ref(),
                setgroups: proc.as_ref().filter(|_| asks),
                own: own.as_ref(),
                joined: false,
            },
        );
        close_together(doors.into_files());
        spawned
    };
    // Nor into a frozen one, where it would stop with all that it has of the host.
    let birth = plan.join == Join::Birth && !plan.entry.has_user() && !container.frozen;
    let (pid, pidfd) = match attempt(birth) {
        // Nobody is born above `pids.max`, but moving in is not kept from anybody (cgroup-v2.rst,
        // "Organizational operations are not blocked"): whoever administers a full container gets in.
        Err(error) if birth && error.is(Errno::AGAIN) => attempt(false)?,
        spawned => spawned?,
    };
    drop(lent);
    let launched = Launched { pid, pidfd, channel, listener: None, moved: None, asks: None };
    match help(plan, container.cgroup, launched.pid) {
        Ok(()) => Ok(launched),
        Err(error) => {
            launched.kill();
            Err(error)
        }
    }
}

/// What the child may not do itself.
fn help(plan: &ExecPlan<'_>, cgroup: Option<&Cgroup>, pid: Pid) -> Result<()> {
    cgroup.map_or(Ok(()), |cgroup| cgroup.take_in(pid))?;
    plan.rdt.as_ref().map_or(Ok(()), |rdt| rdt.join(pid))
}

fn clone(plan: &ExecPlan<'_>, handed: Inherited<'_>) -> Result<(Pid, OwnedFd)> {
    let init = handed.container.init;
    if plan.entry.has_user() {
        let join = |_: &mut Inherited<'_>| {
            plan.process.user.drop_groups();
            plan.entry.join(init, true)
        };
        return through_middle(0, handed, join, |handed| run(plan, Inherited { joined: true, ..handed }));
    }
    plan.entry.join_before(init)?;
    let birth = handed.doors.birth();
    spawn(0, birth, || run(plan, handed)).on(format_args!("clone3"))
}

/// The process's own part. It never comes back.
fn run(plan: &ExecPlan<'_>, mut handed: Inherited<'_>) -> Infallible {
    // First: it may be seen in the container, and a process there with CAP_SYS_PTRACE opens whatever is open here.
    let closed = plan.process.fds.apply(&mut handed.kept);
    let error = match closed.and_then(|()| set_up(plan, &handed)) {
        Ok(program) => match handed.channel.receive() {
            Ok(Message::Go) => finish::become_program(&plan.process, &program, handed.channel, || Ok(())),
            // Nobody is there to hear why.
            _ => exit(1),
        },
        Err(error) => error,
    };
    finish::give_up(handed.channel, error)
}

fn set_up(plan: &ExecPlan<'_>, handed: &Inherited<'_>) -> Result<Program> {
    // Before anything of the container is near: from here on nothing of mote's file is in this process.
    self_exe::replace(handed.own).on(format_args!("prctl PR_SET_MM_MAP"))?;
    setsid().on(format_args!("setsid"))?;
    if let Some(proc) = handed.proc {
        plan.process.label.apply(proc)?;
    }
    plan.process.keyring.apply(handed.proc)?;
    // It is in its user namespace from the start on, and the others that it joins may see what it has open.
    let denied = handed.setgroups.map_or(Ok(false), is_setgroups_denied)?;
    handed.proc.map(AsFd::as_fd).into_iter().for_each(close_in_child);

    // All at once: the kernel finds the order in which each is allowed.
    if !handed.joined {
        plan.entry.join(handed.container.init, false)?;
    }
    // Before anything is done or looked up in there.
    handed.container.root.check()?;
    if plan.process.user_namespace {
        become_root()?;
    }
    // Late, so that what was done until now is not charged to the container.
    handed.doors.enter()?;
    // Inside: "/" is the container's.
    let root = open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let root = Root::new(root.on(format_args!("openat /"))?);
    if let (Some(terminal), Some(console)) = (plan.process.terminal, handed.container.console) {
        terminal::take(terminal.open(&root, console)?)?;
    }
    finish::identity(&plan.process, root, (false, denied), handed.channel, [-1, -1, -1])
}
