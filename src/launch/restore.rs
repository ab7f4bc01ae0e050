//! The process that restores a container: CRIU, in a mount namespace of its own.
//!
//! In the mount namespace, a tmpfs over /tmp has the mounts that CRIU needs. Processes in a user namespace must be able to
//! reach them, so that they cannot be below the state directory; and CRIU creates its temporary directories in /tmp.
//!
//! - `root`: the container's root, as a mount, in which CRIU restores the mounts that it has dumped.
//! - `tree`: the root with all mounts of the configuration, as for a new container. They are the sources of the external
//!   mounts (`rootfs/external.rs`): so bind mounts are resolved, mapped and checked in one place. Missing mount points are
//!   created with them.
//! - `cgroups`: the host's hierarchies. CRIU would mount others, by which it changes the options of the host's v2 hierarchy
//!   (nsdelegate, memory_recursiveprot).

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use linux_raw_sys::general::{CLONE_NEWCGROUP, CLONE_NEWNS};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SeekFrom, memfd_create, mkdirat, open, seek};
use rustix::io::write;
use rustix::process::{Pid, Signal, umask};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::finish::fail;
use super::in_child::{in_child, supply};
use super::init::bind_to_parent;
use super::message::{Channel, Message};
use super::parent::open_trees;
use crate::cgroup::CgroupFds;
use crate::config::linux::NamespaceKind;
use crate::criu::connection::Connection;
use crate::criu::program::{Command, Program};
use crate::error::{self, Error, Kind, On, Result};
use crate::host::{CGROUP_ROOT, Cgroups};
use crate::namespace::idmap::UserNamespaces;
use crate::os::file;
use crate::plan::Plan;
use crate::rootfs::external;
use crate::rootfs::mount_namespace::{self, Beneath};
use crate::rootfs::path::Make;
use crate::rootfs::tree;
use crate::sys::clone::{spawn, unshare};
use crate::sys::end::How;
use crate::sys::exec::Strings;
use crate::sys::fd::close_in_child;
use crate::sys::net;
use crate::sys::pidfd::{has_executed, reap, wait_end};
use crate::sys::signal::send_to_child;

/// The CRIU service that will restore a container.
pub struct Restoring {
    pub pid: Pid,
    pub connection: Connection,
    /// The namespaces that the container joins by path, in the order of the plan. CRIU has those of networks and PIDs by the
    /// same numbers.
    pub namespaces: Vec<OwnedFd>,
    /// The sources of external mounts, as options.
    pub mounts: Vec<u8>,
    pub places: Places,
}

/// The paths in the mount namespace of CRIU.
pub struct Places {
    base: CString,
    pub root: CString,
    tree: CString,
    pub cgroups: CString,
    /// (source, target) of the bind mounts of hierarchies.
    hierarchies: Vec<(CString, CString)>,
}

impl Places {
    fn new(layout: &Cgroups) -> Self {
        let base = "/tmp";
        let path = |text: &str| CString::new(text).unwrap_or_default();
        let cgroups = format!("{base}/cgroups");
        let source = |name: &str| path(&format!("{}/{name}", CGROUP_ROOT.to_string_lossy()));
        let one = |name: &str| (source(name), path(&format!("{cgroups}/{name}")));
        let hierarchies = match layout {
            Cgroups::None => Vec::new(),
            Cgroups::Unified => alloc::vec![(CGROUP_ROOT.into(), path(&format!("{cgroups}/unified")))],
            Cgroups::Named => {
                alloc::vec![(CGROUP_ROOT.into(), path(&format!("{cgroups}/unified"))), one("systemd")]
            }
            Cgroups::Hierarchies { names, unified } => {
                names.iter().map(String::as_str).chain(unified.then_some("unified")).map(one).collect()
            }
        };
        Places {
            base: path(base),
            root: path(&format!("{base}/root")),
            tree: path(&format!("{base}/tree")),
            cgroups: path(&cgroups),
            hierarchies,
        }
    }

    /// Makes the directories, on a tmpfs, and mounts the root and the hierarchies. In the child.
    fn make(&self, root: &OwnedFd) -> Result<()> {
        let (_, space) = tree::filesystem(c"tmpfs", c"tmpfs", [(c"mode", Some(c"1777"))].into_iter(), 0)?;
        tree::attach_at_path(space.as_fd(), &self.base)?;
        for directory in [&self.root, &self.tree, &self.cgroups] {
            mkdirat(CWD, directory.as_c_str(), Mode::from_raw_mode(0o755)).on(format_args!("mkdirat"))?;
        }
        tree::attach_at_path(root.as_fd(), &self.root)?;
        for (source, target) in &self.hierarchies {
            mkdirat(CWD, target.as_c_str(), Mode::from_raw_mode(0o755)).on(format_args!("mkdirat"))?;
            let copy = tree::copy_path(source, false, false).on(format_args!("open_tree"))?;
            tree::attach_at_path(copy.as_fd(), target)?;
        }
        Ok(())
    }
}

/// What the child uses.
struct Child<'c> {
    places: &'c Places,
    root: &'c OwnedFd,
    /// The file for the options of external mounts.
    list: &'c OwnedFd,
    cgroup: Option<&'c CgroupFds>,
    new_cgroup_namespace: bool,
    command: &'c Command,
    strings: &'c (Strings<'c>, Strings<'c>),
    passed: &'c [&'c OwnedFd],
}

/// Starts CRIU for the container of a plan, whose state directory is `directory`. If restored processes stay in its cgroup
/// (`stays`), it joins `cgroup` first, if there is one, and creates the cgroup namespace of the container. `record_pid` is
/// called before it is awaited.
///
/// Errors: the mounts of the configuration cannot be made, or CRIU cannot be executed. No process is left then.
pub fn launch(
    plan: &mut Plan<'_>,
    directory: BorrowedFd<'_>,
    program: &Program,
    (layout, stays, cgroup): (&Cgroups, bool, Option<&CgroupFds>),
    record_pid: impl FnOnce(Pid, &OwnedFd) -> Result<()>,
) -> Result<Restoring> {
    let namespaces = plan.namespaces.open()?;
    let places = Places::new(layout);
    plan.rootfs.attach_at(places.tree.clone());
    open_trees(plan, &namespaces)?;
    let root = plan.rootfs.copy_root()?;
    let list = memfd_create(c"mounts", MemfdFlags::CLOEXEC).on(format_args!("memfd_create"))?;
    let (own, socket) = Connection::sockets()?;
    let command = program.command(&socket);
    let mut passed = alloc::vec![&socket];
    for kind in [NamespaceKind::Network, NamespaceKind::Pid] {
        passed.extend(plan.namespaces.joined_of(kind, &namespaces));
    }
    let strings = command.strings();
    error::reserve();
    let (channel, child_channel) = Channel::pair()?;
    let child = Child {
        places: &places,
        root: &root,
        list: &list,
        cgroup,
        new_cgroup_namespace: stays && plan.namespaces.cgroup,
        command: &command,
        strings: &strings,
        passed: &passed,
    };
    let spawned = spawn(0, None, || {
        [directory, channel.fd()].into_iter().for_each(close_in_child);
        child.run(plan, child_channel)
    });
    let (pid, pidfd) = spawned.on(format_args!("clone3"))?;
    let executed = record_pid(pid, &pidfd)
        .and_then(|()| wait_until_executed(plan, &channel, &namespaces, &pidfd))
        .and_then(|()| read_list(&list));
    drop(plan.rootfs.take_trees().collect::<Vec<_>>());
    match executed {
        Ok(mounts) => {
            let connection = Connection::new(own, pidfd);
            Ok(Restoring { pid, connection, namespaces, mounts, places })
        }
        Err(error) => {
            kill(pid, &pidfd);
            Err(error)
        }
    }
}

/// Brings up the loopback interface in the network namespace of a process.
pub fn loopback_up(process: &OwnedFd) -> Result<()> {
    inside(process, ThreadNameSpaceType::NETWORK, || {
        net::loopback_up().on(format_args!("ioctl lo SIOCSIFFLAGS"))
    })
}

/// Makes the root of a restored process read-only, if it is to be: CRIU 4.1 does not.
pub fn make_root_read_only(plan: &Plan<'_>, process: &OwnedFd) -> Result<()> {
    if !plan.rootfs.is_read_only() {
        return Ok(());
    }
    inside(process, ThreadNameSpaceType::MOUNT, || {
        let root = open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on(format_args!("openat /"))?;
        plan.rootfs.make_read_only(root.as_fd())
    })
}

/// Calls a function in a child that has entered a namespace of a process.
fn inside(process: &OwnedFd, kind: ThreadNameSpaceType, act: impl FnOnce() -> Result<()>) -> Result<()> {
    // It requests no mount trees.
    in_child(&[], &mut |_| Ok(Vec::new()), |_| {
        move_into_thread_name_spaces(process.as_fd(), kind).on(format_args!("setns"))?;
        act()
    })
}

/// Kills and reaps a child.
pub fn kill(pid: Pid, pidfd: &OwnedFd) {
    let _ = send_to_child(pid, pidfd, Signal::KILL.as_raw());
    reap(pidfd);
}

/// Supplies mount trees until the child has executed CRIU.
fn wait_until_executed(
    plan: &Plan<'_>,
    channel: &Channel,
    namespaces: &[OwnedFd],
    pidfd: &OwnedFd,
) -> Result<()> {
    let mut owners = UserNamespaces::new(plan.namespaces.joined_of(NamespaceKind::User, namespaces));
    let answer = &mut |request| plan.rootfs.answer(request, &mut |mappings| owners.get(mappings));
    match supply(channel, answer)? {
        Message::End if has_executed(pidfd) => Ok(()),
        Message::Failed(error) => Err(error),
        _ => {
            let how = How(wait_end(pidfd));
            let why = format_args!("the process that prepares the restore died: {how}");
            Err(Error::new(Kind::State, why))
        }
    }
}

fn read_list(list: &OwnedFd) -> Result<Vec<u8>> {
    seek(list, SeekFrom::Start(0)).on(format_args!("lseek"))?;
    file::read_all(list, c"the list of mounts")
}

impl Child<'_> {
    fn run(&self, plan: &mut Plan<'_>, channel: Channel) -> Infallible {
        let prepared = bind_to_parent(&channel).and_then(|()| self.prepare(plan, &channel));
        let error = match prepared {
            Ok(()) => self.command.execute(self.strings, self.passed, channel.raw_fd()),
            Err(error) => error,
        };
        fail(&channel, error)
    }

    fn prepare(&self, plan: &mut Plan<'_>, channel: &Channel) -> Result<()> {
        unshare(CLONE_NEWNS).on(format_args!("unshare CLONE_NEWNS"))?;
        // Before anything is mounted: it must not propagate to the host.
        drop(mount_namespace::open_root()?);
        // Mount points are created with exact modes.
        let old_umask = umask(Mode::empty());
        self.places.make(self.root)?;
        // Without a cgroup of its own, hierarchies are mounted: their root is that of the cgroup namespace.
        if self.cgroup.is_none() {
            self.create_cgroup_namespace()?;
        }
        let more = &mut |request, trees: &mut _| channel.request_trees(request, trees);
        let (root, _) = plan.rootfs.apply(Beneath::Host, more, |_| Ok(None))?;
        if plan.rootfs.is_read_only() {
            // CRIU moves the old root to this directory, or else creates one, after it has made the root read-only (4.2).
            root.release(root.make(c"/tmp", Make::Directory)?);
        }
        plan.rootfs.restrict(&root)?;
        external::sources(&self.places.tree, &mut |parts| {
            parts
                .iter()
                .chain([&&b"\0"[..]])
                .try_for_each(|part| write(self.list, part).map(drop).on(format_args!("write")))
        })?;
        umask(old_umask);
        let Some(cgroup) = self.cgroup else { return Ok(()) };
        cgroup.enter()?;
        self.create_cgroup_namespace()
    }

    fn create_cgroup_namespace(&self) -> Result<()> {
        match self.new_cgroup_namespace {
            true => unshare(CLONE_NEWCGROUP).on(format_args!("unshare CLONE_NEWCGROUP")),
            false => Ok(()),
        }
    }
}
