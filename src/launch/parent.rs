//! The parent's list: from the plan to a container's process at its start gate.

use core::convert::Infallible;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, pidfd_open, waitid, waitpid,
};

use super::gate::Gate;
use super::init::{self, Handed};
use super::message::{Channel, Message};
use crate::cgroup::{Cgroup, Doors, Join};
use crate::error::{self, Error, Kind, On, Result};
use crate::plan::Plan;
use crate::spec::linux::NamespaceKind;
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::close_together;
use crate::sys::signal::send;
use crate::{host, namespace};

/// A container's process on its way to the gate.
pub struct Launched {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    channel: Channel,
}

/// Starts the container's process, and does what only its parent can. `directory` is its state directory,
/// locked. When this fails there is no process.
pub fn launch(
    plan: &mut Plan<'_>,
    directory: BorrowedFd<'_>,
    cgroup: Option<&Cgroup>,
    gate: &Gate,
) -> Result<Launched> {
    let proc = match plan.needs_proc() {
        true => Some(host::proc()?),
        false => None,
    };
    let namespaces = plan.namespaces.open()?;
    let doors = open_doors(plan, cgroup)?;
    plan.rootfs.open_sources()?;

    error::reserve();
    let (channel, childs) = Channel::pair()?;
    let back = plan.namespaces.join_before(&namespaces)?;
    let handed = |channel, joined| Handed {
        channel,
        gate,
        namespaces: &namespaces,
        doors: &doors,
        proc: proc.as_ref(),
        joined,
        directory,
    };
    let spawned = match plan.namespaces.is_joined(NamespaceKind::User) && plan.namespaces.new != 0 {
        true => through_middle(plan, childs, handed),
        false => {
            let new = plan.namespaces.new;
            let child = || init::run(plan, handed(childs, false));
            spawn(new, doors.birth(), child).on(format_args!("clone3"))
        }
    };
    namespace::go_back(&back)?;
    close_together(doors.into_files().chain(plan.rootfs.take_trees()));
    let (pid, pidfd) = spawned?;
    let launched = Launched { pid, pidfd, channel };
    match launched.help(plan, proc.as_ref()) {
        Ok(()) => Ok(launched),
        Err(error) => {
            launched.kill();
            Err(error)
        }
    }
}

fn open_doors(plan: &Plan<'_>, cgroup: Option<&Cgroup>) -> Result<Doors> {
    let (Some(planned), Some(cgroup)) = (&plan.cgroup, cgroup) else { return Ok(Doors::default()) };
    // From a middle process in another user namespace CLONE_INTO_CGROUP would be refused.
    let birth = planned.join() == Join::Birth && !plan.namespaces.is_joined(NamespaceKind::User);
    cgroup.doors(birth)
}

/// A user namespace that is joined must own the new ones: a middle process joins it, and makes the
/// container's process as its own sibling (CLONE_PARENT). It shares nothing but the channel, and says
/// there, before the container's process does, which pid that has.
fn through_middle<'h>(
    plan: &mut Plan<'_>,
    childs: Channel,
    handed: impl Fn(Channel, bool) -> Handed<'h>,
) -> Result<(Pid, OwnedFd)> {
    let (ours, its) = Channel::pair()?;
    let middle = || -> Infallible {
        let handed = handed(childs, true);
        let made = plan.namespaces.join_inside(handed.namespaces).and_then(|()| {
            let flags = plan.namespaces.new | u64::from(sys::CLONE_PARENT);
            spawn(flags, None, || init::run(plan, handed)).on(format_args!("clone3 CLONE_PARENT"))
        });
        match made {
            Ok((pid, _)) => its.send(&Message::Born(pid.as_raw_nonzero().get())),
            Err(error) => its.send(&Message::Failed(error)),
        }
        exit(0)
    };
    let (middle, _) = spawn(0, None, middle).on(format_args!("clone3"))?;
    // Its end is the middle's alone now: should that die without a word, the line ends.
    drop(its);
    let said = ours.receive()?;
    let _ = waitpid(Some(middle), WaitOptions::empty());
    match said {
        Message::Born(number) => {
            let pid = Pid::from_raw(number).ok_or_else(|| Error::invalid(format_args!("no pid")))?;
            let pidfd = pidfd_open(pid, PidfdFlags::empty());
            Ok((pid, pidfd.on(format_args!("pidfd_open {number}"))?))
        }
        Message::Failed(error) => Err(error),
        _ => Err(Error::invalid(format_args!("the middle process died"))),
    }
}

impl Launched {
    /// What the child may not do itself in a new user namespace.
    fn help(&self, plan: &Plan<'_>, proc: Option<&OwnedFd>) -> Result<()> {
        if let (Some(maps), Some(proc)) = (&plan.maps, proc) {
            maps.apply(proc, self.pid)?;
        }
        if plan.user_namespace {
            plan.process.rlimits.apply(Some(self.pid))?;
        }
        if plan.maps.is_some() {
            self.channel.send(&Message::Maps);
        }
        Ok(())
    }

    /// Tells the child that it is known, and waits until it is at the gate.
    pub fn ready(&self) -> Result<()> {
        self.channel.send(&Message::Go);
        match self.channel.receive()? {
            Message::Ready => Ok(()),
            other => Err(self.failure(other)),
        }
    }

    /// Tells the child to go through, and waits until the program runs.
    pub fn go(&self) -> Result<()> {
        self.channel.send(&Message::Go);
        match self.channel.receive()? {
            Message::End => Ok(()),
            other => Err(self.failure(other)),
        }
    }

    fn failure(&self, message: Message) -> Error {
        match message {
            Message::Failed(error) => error,
            _ => Error::new(
                Kind::State,
                format_args!("the container's process died while it was set up: {}", self.how()),
            ),
        }
    }

    /// How it ended, which is soon after it hung up.
    fn how(&self) -> &'static str {
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(Some(status)) if status.terminating_signal() == Some(9) => {
                "killed by SIGKILL, perhaps for want of memory (linux.resources.memory.limit)"
            }
            Ok(Some(status)) if status.terminating_signal() == Some(31) => {
                "killed by a seccomp filter (SIGSYS)"
            }
            _ => "without a word",
        }
    }

    /// Ends it, for good.
    pub fn kill(&self) {
        let _ = send(&self.pidfd, Signal::KILL.as_raw());
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}
