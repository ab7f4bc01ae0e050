//! The steps of the container init, from clone3 to execve, in order.

use core::convert::Infallible;
use core::ffi::CStr;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Signal, fchdir, getpid, set_dumpable_behavior, set_parent_process_death_signal, setsid,
    umask,
};
use rustix::thread::set_name;

use super::created;
use super::finish::{self, FoundProgram, fail, not_replaced};
use super::message::{Channel, Message};
use super::start_socket::StartWait;
use crate::caller;
use crate::cgroup::fs::delegation::SubCgroupFds;
use crate::cgroup::{self, CgroupFds, JoinTime};
use crate::error::{Error, On, Result};
use crate::hooks::{InContainer, Point};
use crate::plan::Plan;
use crate::process::terminal;
use crate::process::user::is_setgroups_denied;
use crate::rootfs::id::RootId;
use crate::rootfs::mount_namespace::Creator;
use crate::rootfs::path::Root;
use crate::sys::clone::{exit, unshare};
use crate::sys::fd::close_all_in_child;
use crate::sys::net::loopback_up;
use crate::sys::self_exe::{self, FirstPage};

/// What the child inherits from its parent besides the plan, all opened by the parent.
pub struct FromParent<'h> {
    pub channel: Channel,
    pub start_wait: &'h StartWait,
    pub namespaces: &'h [OwnedFd],
    pub cgroup_fds: &'h CgroupFds,
    /// The host's procfs, if the plan needs it.
    pub proc: Option<&'h OwnedFd>,
    /// The host's procfs, if the child has to read from it whether setgroups(2) is denied.
    pub setgroups: Option<&'h OwnedFd>,
    /// /proc/self/exe, opened.
    pub self_exe: Option<&'h OwnedFd>,
    /// Who creates the mount namespace.
    pub mounts: Creator,
    /// Whether the intermediate process has joined the namespaces already.
    pub joined: bool,
    /// The console socket, which gets the PTY master.
    pub console: Option<BorrowedFd<'h>>,
    /// Fds that the child closes first: the state directory, which would keep the lock held; directories of the host's
    /// cgroups; and the parent's end of the channel, which would prevent end of file when the parent dies.
    pub parent_fds: [Option<BorrowedFd<'h>>; 4],
}

/// Runs the container init. It never returns: it executes the program, or sends the error to its parent and exits.
pub fn run(plan: &mut Plan<'_>, from_parent: FromParent<'_>) -> Infallible {
    close_all_in_child(from_parent.parent_fds.into_iter().flatten());
    // The PID as hooks see it, read before a seccomp filter may deny getpid(2).
    let pid = plan.hooks.has(Point::StartContainer).then(|| getpid().as_raw_nonzero().get());
    let ready = bind_to_parent(&from_parent.channel).and_then(|()| set_up(plan, &from_parent));
    let (program, page) = match ready {
        // Without this message, the parent would take the end of file at execve for the death of the child.
        Ok((program, root, page)) => match from_parent.channel.send(&Message::Ready(root)) {
            true => (program, page),
            false => exit(1),
        },
        Err(error) => fail(&from_parent.channel, error),
    };
    let wait = |listener: &OwnedFd| {
        if let Some(page) = page {
            created::wait(&plan.process, &program, listener, page);
        }
    };
    match from_parent.start_wait.wait(from_parent.channel, wait) {
        Ok(channel) => {
            let hooks = || pid.map_or(Ok(()), |pid| start_hooks(plan, &program, pid));
            let error = finish::become_program(&plan.process, &program, &channel, hooks);
            fail(&channel, error)
        }
        // The parent has exited: no process reads the error.
        Err(_) => exit(1),
    }
}

/// Makes the kernel kill this process when its parent dies: its PID may not be in the status file yet, so that nothing
/// could find it. Effective until the credentials change (PR_SET_PDEATHSIG(2const)), and until [`set_up`] is nearly
/// done. After that, end of file on the channel reports the parent's death.
pub(super) fn bind_to_parent(channel: &Channel) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).on(format_args!("prctl PR_SET_PDEATHSIG"))?;
    match channel.is_closed() {
        true => exit(1),
        false => Ok(()),
    }
}

fn set_up(
    plan: &mut Plan<'_>,
    from_parent: &FromParent<'_>,
) -> Result<(FoundProgram, RootId, Option<FirstPage>)> {
    // Before the container is set up: from here on mote's executable is not mapped in this process.
    let page = self_exe::replace(from_parent.self_exe, plan.process.releases_memory).map_err(not_replaced)?;
    // Before this process becomes non-dumpable or changes its IDs: after that /proc/self belongs to root.
    from_parent.proc.map_or(Ok(()), |proc| plan.time.apply(proc))?;
    // The parent writes the ID maps, without which there are no privileges in a new user namespace, and moves network
    // devices, which sysctls below may refer to.
    if plan.needs_parent() {
        wait_for_parent(&from_parent.channel)?;
    }
    // Before namespaces are joined: no process of the container may access this one while it has the host's memory, fds
    // and privileges (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    setsid().on(format_args!("setsid"))?;
    plan.process.keyring.apply(from_parent.proc)?;
    // Files are created below with exact modes.
    umask(Mode::empty());
    let denied = join_namespaces(plan, from_parent)?;
    // The cgroup before the cgroup namespace, whose root is the cgroup of its creator (cgroup_namespaces(7)).
    let join = plan.cgroup.as_ref().map(|cgroup| cgroup.join_time());
    if join != Some(JoinTime::Late) {
        enter_cgroup(plan, from_parent)?;
    }
    if plan.own_network {
        loopback_up().on(format_args!("ioctl lo SIOCSIFFLAGS (needs CAP_NET_ADMIN)"))?;
    }
    plan.uts.apply()?;
    from_parent.proc.map_or(Ok(()), |proc| plan.sysctl.apply(proc))?;

    set_stage_name(plan, c"mote: rootfs");
    let root = change_root(plan, from_parent)?;
    if join == Some(JoinTime::Late) {
        enter_cgroup(plan, from_parent)?;
    }
    let (program, id) = inside(plan, from_parent, root, denied, page.as_ref())?;
    Ok((program, id, page))
}

/// The last part of the setup, in the container's root. `denied`: setgroups(2) is denied.
fn inside(
    plan: &Plan<'_>,
    from_parent: &FromParent<'_>,
    root: Root,
    denied: bool,
    page: Option<&FirstPage>,
) -> Result<(FoundProgram, RootId)> {
    set_stage_name(plan, c"mote: process");
    // After the hooks in the runtime namespace: the label applies to the next execve, of a startContainer hook or the
    // program.
    from_parent.proc.map_or(Ok(()), |proc| plan.process.label.apply(proc))?;
    let (id, [out, err]) = (RootId::own()?, plan.hooks.output_fds());
    // Before a filter is loaded, which may deny prctl(2), and before the parent may exit.
    set_parent_process_death_signal(None).on(format_args!("prctl PR_SET_PDEATHSIG"))?;
    let kept_fds = [from_parent.start_wait.raw_fd(), out, err, page.map_or(-1, FirstPage::raw_fd)];
    finish::identity(&plan.process, root, (true, denied), &from_parent.channel, kept_fds)
        .map(|program| (program, id))
}

/// Joins the namespaces given by path, and becomes root of the user namespace. Returns whether setgroups(2) is denied
/// there.
fn join_namespaces(plan: &Plan<'_>, from_parent: &FromParent<'_>) -> Result<bool> {
    if !from_parent.joined {
        if from_parent.setgroups.is_some() {
            plan.process.user.drop_groups();
        }
        plan.namespaces.join_inside(from_parent.namespaces, false)?;
    }
    if plan.process.user_namespace {
        become_root_inside(plan)?;
    }
    from_parent.setgroups.map_or(Ok(false), is_setgroups_denied)
}

/// Mounts the container's filesystems and makes its root the root directory; the last step with access to the host's.
fn change_root(plan: &mut Plan<'_>, from_parent: &FromParent<'_>) -> Result<Root> {
    let beneath = from_parent.mounts.enter()?;
    let terminal = plan.process.terminal.zip(from_parent.console);
    let more = &mut |request, trees: &mut _| from_parent.channel.request_trees(request, trees);
    let (mut root, terminal) = plan.rootfs.apply(beneath, more, |root| {
        terminal.map(|(terminal, console)| terminal.open(root, console)).transpose()
    })?;
    if plan.hooks.has_before_pivot() {
        from_parent.channel.send(&Message::Mounted);
        wait_for_parent(&from_parent.channel)?;
        create_hooks(plan, &root)?;
    }
    plan.rootfs.restrict(&root)?;
    plan.rootfs.enter(&mut root)?;
    terminal.map_or(Ok(()), terminal::take)?;
    Ok(root)
}

/// Runs the createContainer hooks, before pivot_root. Their working directory is the container's root at its mount
/// point. They are programs of the host, with all privileges: a variable of the image, such as LD_PRELOAD, would make
/// them run code of the image (CVE-2025-23266).
fn create_hooks(plan: &Plan<'_>, root: &Root) -> Result<()> {
    let enter = || caller::restore().and_then(|()| fchdir(root.fd()));
    let inside = InContainer { environment: None, enter: &enter };
    plan.hooks.run_inside(Point::CreateContainer, own_pid(), &inside)
}

/// Runs the startContainer hooks, with the program's working directory, resource limits and environment.
fn start_hooks(plan: &Plan<'_>, program: &FoundProgram, pid: i32) -> Result<()> {
    let process = &plan.process;
    // With a filter the limits are set already.
    let enter = || match &process.seccomp {
        Some(_) => Ok(()),
        None => process.rlimits.apply().map_err(|error| Errno::from_raw_os_error(error.errno().into())),
    };
    let inside = InContainer { environment: Some((&process.env.variables, program.home())), enter: &enter };
    plan.hooks.run_inside(Point::StartContainer, pid, &inside)
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// Becomes root of the user namespace, which owns everything that is created from here on.
fn become_root_inside(plan: &Plan<'_>) -> Result<()> {
    plan.process.user.become_root()?;
    match plan.namespaces.makes_ipc_inside() {
        true => unshare(linux_raw_sys::general::CLONE_NEWIPC).on(format_args!("unshare CLONE_NEWIPC")),
        false => Ok(()),
    }
}

fn enter_cgroup(plan: &Plan<'_>, from_parent: &FromParent<'_>) -> Result<()> {
    from_parent.cgroup_fds.enter()?;
    if plan.namespaces.cgroup {
        unshare(linux_raw_sys::general::CLONE_NEWCGROUP).on(format_args!("unshare CLONE_NEWCGROUP"))?;
    }
    from_parent.cgroup_fds.sub_cgroup.as_ref().map_or(Ok(()), SubCgroupFds::enter)
}

/// Names the current step in `comm`, if there is a memory limit: after an OOM kill, the kernel log and mote's error
/// report it.
fn set_stage_name(plan: &Plan<'_>, name: &CStr) {
    if plan.cgroup.as_ref().is_some_and(cgroup::Plan::limits_memory) {
        let _ = set_name(name);
    }
}

/// Waits for the parent: for the ID maps, or the hooks in the runtime namespace.
fn wait_for_parent(channel: &Channel) -> Result<()> {
    match channel.receive()? {
        Message::Go => Ok(()),
        _ => Err(Error::invalid(format_args!("the parent process died"))),
    }
}
