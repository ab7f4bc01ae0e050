//! The parent's list: from the plan to a container's process at its start gate.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;

use linux_raw_sys::general as sys;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal, pidfd_open, set_dumpable_behavior};

use super::init::{self, FromParent};
use super::listener::Listener;
use super::message::{Channel, Message};
use super::start_socket::StartWait;
use crate::cgroup::{Cgroup, CgroupFds};
use crate::error::{self, Error, Kind, On, Result};
use crate::hooks::{self, Point};
use crate::namespace::device::Moved;
use crate::namespace::idmap::Namespaces;
use crate::plan::Plan;
use crate::rootfs::id::RootId;
use crate::spec::linux::NamespaceKind;
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::fd::{close_in_child, close_together};
use crate::sys::pidfd::{has_executed, reap, wait_end};
use crate::sys::self_exe;
use crate::sys::signal::send;
use crate::{host, namespace};

/// A container's process on its way to the gate.
pub struct Launched {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub(super) channel: Channel,
    /// Who takes the listener of its filter, if that is loaded before it goes through the gate.
    pub listener: Option<Listener>,
    /// Network interfaces that go back if it does not come to run.
    pub(super) moved: Option<Box<Moved>>,
    /// The namespaces given by path, where it will ask for trees.
    pub(super) asks: Option<Vec<OwnedFd>>,
}

/// Starts the container's process, and does what only its parent can. `directory` is its state directory,
/// locked; `console` is the socket that its terminal's master is sent to. `known` writes down which process it is,
/// before that is let go on for the first time. When this fails there is no process.
pub fn launch(
    plan: &mut Plan<'_>,
    directory: BorrowedFd<'_>,
    cgroup: Option<&Cgroup>,
    gate: &StartWait,
    console: Option<BorrowedFd<'_>>,
    known: impl FnOnce(Pid, &OwnedFd) -> Result<()>,
) -> Result<Launched> {
    let asks = plan.process.asks_for_groups();
    let proc = (asks || plan.needs_proc()).then(host::proc).transpose()?;
    let namespaces = plan.namespaces.open()?;
    let middle = plan.namespaces.need_middle();
    let doors = open_doors(plan, cgroup)?;
    let all = open_trees(plan, &namespaces)?;
    let lent = plan.process.lend(proc.as_ref())?;

    error::reserve();
    let (channel, childs) = Channel::pair()?;
    let own = self_exe::open();
    let back = if middle { Vec::new() } else { plan.namespaces.join_before(&namespaces)? };
    let handed = |childs, joined| FromParent {
        channel: childs,
        gate,
        namespaces: &namespaces,
        doors: &doors,
        proc: proc.as_ref(),
        setgroups: proc.as_ref().filter(|_| asks),
        own: own.as_ref(),
        joined,
        console,
        parents: [cgroup.map(Cgroup::root), Some(directory), doors.birth(), Some(channel.fd())],
    };
    // Who shares a namespace with it must not look into a process that still has the host's memory, descriptors
    // and rights (CVE-2016-9962): not even before it could say so itself.
    if plan.namespaces.are_shared() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    }
    let new = plan.namespaces.new;
    let spawned = if middle {
        let all = plan.namespaces.is_joined(NamespaceKind::User);
        let join = |plan: &mut &mut Plan<'_>| join_in_middle(plan, &namespaces);
        through_middle(new, &mut *plan, join, |plan| init::run(plan, handed(childs, all)))
    } else {
        born(plan, childs, &doors, cgroup, handed)
    };
    namespace::go_back(&back)?;
    drop(lent);
    close_together(doors.into_files().chain(plan.rootfs.take_trees()));
    let (pid, pidfd) = spawned?;
    let mut launched = Launched { pid, pidfd, channel, listener: None, moved: None, asks: None };
    let known = known(launched.pid, &launched.pidfd);
    match known.and_then(|()| launched.help(plan, proc.as_ref(), &namespaces, cgroup)) {
        Ok(()) => Ok(Launched { asks: (!all).then_some(namespaces), ..launched }),
        Err(error) => {
            launched.kill();
            Err(error)
        }
    }
}

fn join_in_middle(plan: &Plan<'_>, namespaces: &[OwnedFd]) -> Result<()> {
    plan.process.user.drop_groups();
    plan.namespaces.join_in_middle(namespaces)
}

/// The container's process as a child of this one.
fn born<'h>(
    plan: &mut Plan<'_>,
    line: Channel,
    doors: &CgroupFds,
    cgroup: Option<&Cgroup>,
    handed: impl Fn(Channel, bool) -> FromParent<'h>,
) -> Result<(Pid, OwnedFd)> {
    let (new, mut line) = (plan.namespaces.new, Some(line));
    let mut attempt = || {
        spawn(new, doors.birth(), || match line.take() {
            Some(line) => init::run(plan, handed(line, false)),
            None => exit(1),
        })
    };
    match (attempt(), cgroup) {
        // Below a threaded cgroup a new one takes nobody in until it is threaded, too; nothing tells of it before.
        (Err(Errno::OPNOTSUPP), Some(cgroup)) if cgroup.make_threaded()? => attempt(),
        (spawned, _) => spawned,
    }
    .on(format_args!("clone3"))
}

fn open_doors(plan: &Plan<'_>, cgroup: Option<&Cgroup>) -> Result<CgroupFds> {
    let (Some(planned), Some(cgroup)) = (&plan.cgroup, cgroup) else { return Ok(CgroupFds::default()) };
    planned.open_fds(cgroup, plan.is_born_inside())
}

// Not into its caller: see scripts/layout.ld.
#[inline(never)]
fn open_trees(plan: &mut Plan<'_>, namespaces: &[OwnedFd]) -> Result<bool> {
    let mut owners = Namespaces::new(plan.namespaces.joined_of(NamespaceKind::User, namespaces));
    plan.rootfs.open_sources(&mut |mappings| owners.get(mappings))
}

/// A user namespace that is joined must own the new ones, and only who is in it may join others that it owns; and
/// who joins another pid namespace may have no way back. So a middle process does `join`, and makes the container's
/// process as its own sibling (CLONE_PARENT), with the namespaces of `new`. It shares nothing but the channel, and says
/// there, before the container's process does, which pid that has.
#[cold]
#[inline(never)]
pub(super) fn through_middle<S>(
    new: u64,
    mut state: S,
    join: impl FnOnce(&mut S) -> Result<()>,
    child: impl FnOnce(S) -> Infallible,
) -> Result<(Pid, OwnedFd)> {
    let (ours, its) = Channel::pair()?;
    let middle = || -> Infallible {
        close_in_child(ours.fd());
        let made = join(&mut state).and_then(|()| {
            let flags = new | u64::from(sys::CLONE_PARENT);
            spawn(flags, None, || {
                // Or the parent would never see that the middle process has died.
                close_in_child(its.fd());
                child(state)
            })
            .on(format_args!("clone3 CLONE_PARENT"))
        });
        match made {
            Ok((pid, _)) => its.send(&Message::Born(pid.as_raw_nonzero().get())),
            Err(error) => its.send(&Message::Failed(error)),
        };
        exit(0)
    };
    let (_, middle) = spawn(0, None, middle).on(format_args!("clone3"))?;
    // Its end is the middle's alone now: should that die without a word, the line ends.
    drop(its);
    let said = ours.receive();
    let end = reap(&middle);
    match said? {
        Message::Born(number) => {
            let pid = Pid::from_raw(number).ok_or_else(|| Error::invalid(format_args!("no pid")))?;
            let pidfd = pidfd_open(pid, PidfdFlags::empty());
            Ok((pid, pidfd.on(format_args!("pidfd_open {number}"))?))
        }
        Message::Failed(error) => Err(error),
        _ => Err(Error::invalid(format_args!("the middle process died: {}", How(end)))),
    }
}

impl Launched {
    /// What the child may not do itself: most of it in a new user namespace.
    fn help(
        &mut self,
        plan: &Plan<'_>,
        proc: Option<&OwnedFd>,
        namespaces: &[OwnedFd],
        cgroup: Option<&Cgroup>,
    ) -> Result<()> {
        cgroup.map_or(Ok(()), |cgroup| cgroup.take_in(self.pid))?;
        if let (Some(maps), Some(proc)) = (&plan.maps, proc) {
            maps.apply(proc, self.pid)?;
        }
        if let Some(rdt) = &plan.rdt {
            rdt.join(self.pid)?;
        }
        if !plan.devices.is_empty() {
            let joined = plan.namespaces.joined_of(NamespaceKind::Network, namespaces);
            self.moved = Some(plan.devices.apply(joined, self.pid, &self.pidfd)?);
        }
        if plan.needs_parent() {
            self.channel.send(&Message::Go);
        }
        Ok(())
    }

    /// Opens for the child what it asks for, where not all was opened before.
    pub fn supply(&mut self, plan: &Plan<'_>) -> Result<()> {
        match self.asks.take() {
            Some(namespaces) => self.supply_rest(plan, &namespaces),
            None => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn supply_rest(&self, plan: &Plan<'_>, namespaces: &[OwnedFd]) -> Result<()> {
        let mut owners = Namespaces::new(plan.namespaces.joined_of(NamespaceKind::User, namespaces));
        loop {
            let entry = match self.channel.receive()? {
                Message::Wanted(entry) => usize::try_from(entry).unwrap_or_default(),
                other => return Err(self.failure(other)),
            };
            let (trees, last) = plan.rootfs.portion(entry, &mut |mappings| owners.get(mappings))?;
            self.channel.supply(&trees)?;
            if last {
                return Ok(());
            }
        }
    }

    /// Runs the hooks of the host's side while the child waits with all mounted.
    pub fn run_hooks(&self, hooks: &hooks::Plan<'_>) -> Result<()> {
        if !hooks.has_before_pivot() {
            return Ok(());
        }
        match self.channel.receive()? {
            Message::Mounted => {}
            other => return Err(self.failure(other)),
        }
        let pid = self.pid.as_raw_nonzero().get();
        hooks.run_beside(Point::Prestart, pid, &self.pidfd)?;
        hooks.run_beside(Point::CreateRuntime, pid, &self.pidfd)?;
        self.channel.send(&Message::Go);
        Ok(())
    }

    /// Waits until the child is set up, has `record` write that down, and leaves the child at its gate.
    pub fn ready(&mut self, gate: &StartWait, record: impl FnOnce(&RootId) -> Result<()>) -> Result<()> {
        match self.answer()? {
            Message::Ready(root) => {
                gate.open()?;
                record(&root)?;
                self.channel.send(&Message::Go);
                Ok(())
            }
            other => Err(self.failure(other)),
        }
    }

    /// Waits until the child is set up, has `record` write that down, lets it go through, and waits until the program
    /// runs: whoever hears of that finds it written down.
    pub fn pass(&mut self, record: impl FnOnce(&RootId) -> Result<()>) -> Result<()> {
        match self.answer()? {
            Message::Ready(root) => record(&root)?,
            other => return Err(self.failure(other)),
        }
        self.go()
    }

    /// Tells the child to go through as soon as it is set up, and waits until the program runs.
    pub fn go(&mut self) -> Result<()> {
        self.channel.send(&Message::Go);
        match self.answer()? {
            Message::End if has_executed(&self.pidfd) => {
                self.moved = None;
                Ok(())
            }
            other => Err(self.failure(other)),
        }
    }

    /// What it says next, when the listener of its filter is handed over.
    fn answer(&mut self) -> Result<Message> {
        match self.channel.receive()? {
            Message::Filter(number) if let Some(listener) = self.listener.take() => {
                listener.serve(&self.channel, &self.pidfd, number)
            }
            message => Ok(message),
        }
    }

    fn failure(&self, message: Message) -> Error {
        match message {
            Message::Failed(error) => error,
            _ => {
                let mut space = [0u8; 16];
                // Soon after it hung up.
                let (what, how) = (self.stage(&mut space), How(wait_end(&self.pidfd)));
                Error::new(
                    Kind::State,
                    format_args!("the container's process died while {what} was set up: {how}"),
                )
            }
        }
    }

    /// What it was doing by the name that it has given itself (`init.rs`).
    fn stage<'s>(&self, space: &'s mut [u8; 16]) -> &'s str {
        let name = host::process_file(self.pid.as_raw_nonzero().get(), "comm", space);
        let name = name.ok().and_then(|name| core::str::from_utf8(name).ok());
        name.and_then(|name| name.trim().strip_prefix("mote: ")).unwrap_or("it")
    }

    /// Ends it, for good.
    pub fn kill(&self) {
        // Before its namespaces end with it, and what is in them.
        if let Some(moved) = &self.moved {
            moved.give_back();
        }
        let _ = send(&self.pidfd, Signal::KILL.as_raw());
        reap(&self.pidfd);
    }
}
