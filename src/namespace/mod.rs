//! Namespaces (namespaces(7); config-linux.md, "Namespaces"): which are new, which are joined, by whom
//! and in which order.
//!
//! - New ones are made by the clone3 that makes the container's process, all at once: the kernel makes the
//!   user namespace first, so that it owns the others.
//! - A new cgroup namespace is the exception: its root is where its maker is, so the child makes it after
//!   it is in its cgroup. So is a time namespace with offsets: they freeze when a process enters it.
//! - So is an IPC namespace in a user namespace: the root of its message queues (mq_overview(7)) belongs to who makes
//!   it, and the child is root there only when it has its maps.
//! - A pid namespace is entered by children only: the parent joins it before the clone.
//! - The others are joined by the child. Not so under a new user namespace, in which it would have no
//!   rights over them: then the parent joins them, clones, and goes back.
//! - A user namespace that is joined must own the new ones, so an intermediate process joins it and clones the
//!   container's process as its sibling (`launch/parent.rs`). So it is where there is no way back for the parent.

pub mod device;
pub mod entry;
pub mod idmap;
pub mod sysctl;
pub mod time;
pub mod user;
pub mod uts;

use alloc::vec::Vec;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open, stat};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::config::linux::Namespace;
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{At, Error, On, Result, Show};
use crate::host;

/// A namespace that the container joins by its path.
#[derive(Debug)]
pub struct JoinedNamespace<'a> {
    /// Its place in `linux.namespaces`, for errors.
    index: usize,
    kind: Kind,
    path: &'a CStr,
}

/// Which namespaces the container gets.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// `CLONE_NEW*` of the clone3 that makes the container's process.
    pub new: u64,
    /// A new cgroup namespace.
    pub cgroup: bool,
    pub joined: Vec<JoinedNamespace<'a>>,
    /// Bits of kinds.
    listed: u32,
    fresh: u32,
    changed: u32,
}

impl<'a> Plan<'a> {
    /// Decides which namespace is made or joined by whom; `offsets` is whether clocks are shifted.
    pub fn new(namespaces: &[Namespace<'a>], offsets: bool) -> Result<Self> {
        let mut plan = Plan::default();
        for (index, namespace) in namespaces.iter().enumerate() {
            plan.listed |= 1 << namespace.kind as u32;
            match namespace.path {
                Some(path) => plan.joined.push(JoinedNamespace { index, kind: namespace.kind, path }),
                None => {
                    plan.fresh |= 1 << namespace.kind as u32;
                    plan.new |= u64::from(flag(namespace.kind));
                }
            }
        }
        plan.cgroup = plan.is_new(Kind::Cgroup);
        plan.new &= !u64::from(sys::CLONE_NEWCGROUP);
        if plan.makes_ipc_inside() {
            plan.new &= !u64::from(sys::CLONE_NEWIPC);
        }
        if offsets {
            plan.new &= !u64::from(sys::CLONE_NEWTIME);
        }
        // What is done to it would be done to the host.
        plan.will_change(Kind::Mount);
        if !plan.has(Kind::Mount) {
            return Err(Error::unsupported(format_args!(
                "linux.namespaces: a container without a mount namespace of its own is not supported"
            )));
        }
        if plan.is_new(Kind::User) && plan.is_joined(Kind::Mount) {
            return Err(Error::unsupported(format_args!(
                "linux.namespaces: joining a mount namespace under a new user namespace is not supported"
            )));
        }
        Ok(plan)
    }

    /// Listed at all, new or joined.
    pub fn has(&self, kind: Kind) -> bool {
        self.listed & (1 << kind as u32) != 0
    }

    /// Made for this container.
    pub fn is_new(&self, kind: Kind) -> bool {
        self.fresh & (1 << kind as u32) != 0
    }

    /// Joined by its path.
    pub fn is_joined(&self, kind: Kind) -> bool {
        self.has(kind) && !self.is_new(kind)
    }

    /// The child makes a new IPC namespace as root of its user namespace.
    pub fn makes_ipc_inside(&self) -> bool {
        self.has(Kind::User) && self.is_new(Kind::Ipc)
    }

    /// Something of this kind of namespace will be changed: it must not be the host's own, not even by a
    /// path that leads there.
    pub fn will_change(&mut self, kind: Kind) {
        self.changed |= 1 << kind as u32;
    }

    /// Opens what is joined, on the host's side.
    pub fn open(&self) -> Result<Vec<OwnedFd>> {
        let open = |join: &JoinedNamespace<'_>| {
            let fd = open(join.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .on(format_args!("openat {}", Show(join.path)))?;
            match self.changed & (1 << join.kind as u32) != 0 && is_own(join.kind, &fd)? {
                true => Err(Error::invalid(format_args!(
                    "the host's own namespace, which hostname, linux.sysctl, linux.netDevices or mounts would change"
                ))),
                false => Ok(fd),
            }
        };
        let named = |join| open(join).at(format_args!("linux.namespaces[{}].path", join.index));
        self.joined.iter().map(named).collect()
    }

    /// The one of a kind that is joined, of all that were opened.
    pub fn joined_of<'o>(&self, kind: Kind, opened: &'o [OwnedFd]) -> Option<&'o OwnedFd> {
        self.joined.iter().zip(opened).find(|(join, _)| join.kind == kind).map(|(_, fd)| fd)
    }

    /// Whether an intermediate process is needed, between mote and the container's: a user namespace that is joined
    /// must own the new ones, and decides who may join a pid namespace; and out of a namespace that is joined before
    /// the clone only who has rights over its own goes back, which the first user namespace owns.
    #[inline]
    pub fn needs_intermediate(&self) -> bool {
        match self.is_joined(Kind::User) {
            true => self.new != 0 || self.is_joined(Kind::Pid),
            false => {
                self.joined.iter().any(|join| self.is_joined_before_clone(join)) && host::in_user_namespace()
            }
        }
    }

    /// Whether it is joined before the container's process is made: the pid namespace, which only children enter,
    /// and under a new user namespace all the others.
    fn is_joined_before_clone(&self, join: &JoinedNamespace<'_>) -> bool {
        join.kind == Kind::Pid || self.is_new(Kind::User)
    }

    /// Whether processes in a joined namespace may see the child right after the clone, while it has the host's rights.
    pub fn exposes_child(&self) -> bool {
        self.is_joined(Kind::User) || self.is_joined(Kind::Pid)
    }

    /// Joins namespaces before the clone, in the parent or in the intermediate process. Gives what [`restore`] takes.
    pub fn join_before(&self, opened: &[OwnedFd]) -> Result<Vec<(Kind, OwnedFd)>> {
        let mut back = Vec::new();
        for (join, fd) in self.joined.iter().zip(opened) {
            if self.is_joined_before_clone(join) {
                let own = own(join.kind);
                let own = open(own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .on(format_args!("openat {}", Show(own)))?;
                join.enter(fd)?;
                back.push((join.kind, own));
            }
        }
        Ok(back)
    }

    /// Joins namespaces in the intermediate process: its child is in the joined user namespace, and in all others; or, if
    /// none is, in those that are joined before the clone.
    pub fn join_in_intermediate(&self, opened: &[OwnedFd]) -> Result<()> {
        match self.is_joined(Kind::User) {
            true => self.join_inside(opened, true),
            false => self.join_before(opened).map(drop),
        }
    }

    /// The child's part: the rest, the user namespace where it gives most rights. Those that it does not
    /// own must be entered before it, those that it owns after it; so what is refused at first is tried
    /// again inside. `pid` is for the intermediate process, which also enters the pid namespace, for its child: it is not
    /// seen there itself, and numbers are still the host's to it.
    pub fn join_inside(&self, opened: &[OwnedFd], pid: bool) -> Result<()> {
        if self.is_new(Kind::User) {
            return Ok(());
        }
        let mut refused = 0u32;
        let mine = || self.joined.iter().zip(opened).filter(|(join, _)| pid || join.kind != Kind::Pid);
        for (join, fd) in mine().filter(|(join, _)| join.kind != Kind::User) {
            match enter(join.kind, fd) {
                Err(Errno::PERM) if self.is_joined(Kind::User) => refused |= 1 << join.kind as u32,
                entered => join.explain(entered)?,
            }
        }
        for (join, fd) in mine().filter(|(join, _)| join.kind == Kind::User) {
            join.enter(fd)?;
        }
        for (join, fd) in mine().filter(|(join, _)| refused & (1 << join.kind as u32) != 0) {
            join.enter(fd)?;
        }
        Ok(())
    }
}

/// This process's own namespace of a kind.
fn own(kind: Kind) -> &'static CStr {
    match kind {
        Kind::Pid => c"/proc/self/ns/pid",
        Kind::Network => c"/proc/self/ns/net",
        Kind::Ipc => c"/proc/self/ns/ipc",
        Kind::Uts => c"/proc/self/ns/uts",
        Kind::Cgroup => c"/proc/self/ns/cgroup",
        Kind::Time => c"/proc/self/ns/time",
        Kind::User => c"/proc/self/ns/user",
        Kind::Mount => c"/proc/self/ns/mnt",
    }
}

fn is_own(kind: Kind, fd: &OwnedFd) -> Result<bool> {
    let own = stat(own(kind)).on(format_args!("newfstatat {}", Show(own(kind))))?;
    let other = fstat(fd).on(format_args!("fstat"))?;
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

/// Joins the namespaces again that [`Plan::join_before`] left.
pub fn restore(back: &[(Kind, OwnedFd)]) -> Result<()> {
    for (kind, fd) in back {
        enter(*kind, fd).on(format_args!("setns back to the {} namespace", kind.name()))?;
    }
    Ok(())
}

impl JoinedNamespace<'_> {
    fn enter(&self, fd: &OwnedFd) -> Result<()> {
        self.explain(enter(self.kind, fd))
    }

    fn explain(&self, entered: rustix::io::Result<()>) -> Result<()> {
        let entered = match entered {
            // setns(2): "The namespace type does not match", and joining one's own user namespace.
            Err(Errno::INVAL) => {
                Err(Error::invalid(format_args!("not a {} namespace to join", self.kind.name())))
            }
            other => other.on(format_args!("setns")),
        };
        entered.at(format_args!("linux.namespaces[{}].path {}", self.index, Show(self.path)))
    }
}

fn enter(kind: Kind, fd: &OwnedFd) -> rustix::io::Result<()> {
    let link = match kind {
        Kind::User => LinkNameSpaceType::User,
        Kind::Mount => LinkNameSpaceType::Mount,
        Kind::Pid => LinkNameSpaceType::ProcessID,
        Kind::Network => LinkNameSpaceType::Network,
        Kind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        Kind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        Kind::Cgroup => LinkNameSpaceType::ControlGroup,
        Kind::Time => LinkNameSpaceType::Time,
    };
    move_into_link_name_space(fd.as_fd(), Some(link))
}

#[inline]
fn flag(kind: Kind) -> u32 {
    match kind {
        Kind::User => sys::CLONE_NEWUSER,
        Kind::Mount => sys::CLONE_NEWNS,
        Kind::Pid => sys::CLONE_NEWPID,
        Kind::Network => sys::CLONE_NEWNET,
        Kind::Ipc => sys::CLONE_NEWIPC,
        Kind::Uts => sys::CLONE_NEWUTS,
        Kind::Cgroup => sys::CLONE_NEWCGROUP,
        Kind::Time => sys::CLONE_NEWTIME,
    }
}
