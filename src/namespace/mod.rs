//! Namespaces (namespaces(7); config-linux.md, "Namespaces"): which are created and which are joined, in which process
//! and order.
//!
//! - New namespaces are created by the clone3(2) of the container init. The kernel creates the user namespace first, so
//!   that it owns the others.
//! - The child itself creates three kinds: a cgroup namespace, whose root is the cgroup of its creator, after the child
//!   is in its cgroup; a time namespace with offsets, which cannot be changed after a process is in it; and an IPC
//!   namespace in a user namespace, because the root of its message queue filesystem (mq_overview(7)) belongs to its
//!   creator, and the child is root only after its ID maps were written.
//! - Joining a pid namespace takes effect for children only, so the parent joins it before the clone.
//! - The child joins the others. With a new user namespace it would have no rights over them: then the parent joins
//!   them before the clone and joins its own again after it.
//! - A joined user namespace must own the new namespaces, so an intermediate process joins it and clones the container
//!   init as its sibling (`launch/intermediate.rs`). This is also done if the parent could not join its own namespaces
//!   again.

pub mod actual;
pub mod defaults;
pub mod device;
pub mod entry;
pub mod forbidden;
mod id_helper;
pub mod idmap;
mod map_error;
mod refused;
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
    /// The index in `linux.namespaces`, for errors.
    index: usize,
    kind: Kind,
    path: &'a CStr,
}

/// The plan of the container's namespaces.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// `CLONE_NEW*` flags for the clone3(2) of the container init.
    pub new: u64,
    /// Whether the child creates a cgroup namespace.
    pub cgroup: bool,
    pub joined: Vec<JoinedNamespace<'a>>,
    /// Bit sets of [`Kind`]: listed in config.json, new, and see [`Plan::will_change`].
    listed: u32,
    fresh: u32,
    changed: u32,
}

impl<'a> Plan<'a> {
    /// Plans the namespaces; `offsets`: whether there are `timeOffsets`. Errors: unsupported combinations.
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
        // Mounts in the host's mount namespace would change the host.
        plan.will_change(Kind::Mount);
        if plan.is_new(Kind::User) && plan.is_joined(Kind::Mount) {
            return Err(Error::unsupported(format_args!(
                "linux.namespaces: joining a mount namespace under a new user namespace is not supported"
            )));
        }
        Ok(plan)
    }

    /// Whether a kind is listed, new or joined.
    pub fn has(&self, kind: Kind) -> bool {
        self.listed & (1 << kind as u32) != 0
    }

    /// Whether a kind is created for this container.
    pub fn is_new(&self, kind: Kind) -> bool {
        self.fresh & (1 << kind as u32) != 0
    }

    /// Whether a kind is joined by its path.
    pub fn is_joined(&self, kind: Kind) -> bool {
        self.has(kind) && !self.is_new(kind)
    }

    /// Whether the child creates the IPC namespace, as root of its user namespace.
    pub fn makes_ipc_inside(&self) -> bool {
        self.has(Kind::User) && self.is_new(Kind::Ipc)
    }

    /// Records that settings of this kind of namespace will be changed, so it must not be the host's own. Paths are
    /// checked when they are opened.
    pub fn will_change(&mut self, kind: Kind) {
        self.changed |= 1 << kind as u32;
    }

    /// Opens the namespaces to join, in the parent. Errors: also if one is the host's own and would be changed.
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

    /// The file descriptor of the joined namespace of a kind, out of those that [`Plan::open`] returned.
    pub fn joined_of<'o>(&self, kind: Kind, opened: &'o [OwnedFd]) -> Option<&'o OwnedFd> {
        self.joined.iter().zip(opened).find(|(join, _)| join.kind == kind).map(|(_, fd)| fd)
    }

    /// Takes the file descriptor of the joined namespace of a kind out of those that [`Plan::open`] returned, and closes
    /// the others.
    pub fn take_joined(&self, kind: Kind, opened: Vec<OwnedFd>) -> Option<OwnedFd> {
        self.joined.iter().zip(opened).find(|(join, _)| join.kind == kind).map(|(_, fd)| fd)
    }

    /// Whether an intermediate process is needed between parent and child: if a user namespace is joined, which must
    /// own the new namespaces and gives the right to join a pid namespace; or if namespaces are joined before the clone
    /// and the parent could not join its own again, because it is in a user namespace that does not own them.
    #[inline]
    pub fn needs_intermediate(&self) -> bool {
        match self.is_joined(Kind::User) {
            true => self.new != 0 || self.is_joined(Kind::Pid),
            false => {
                self.joined.iter().any(|join| self.is_joined_before_clone(join)) && host::in_user_namespace()
            }
        }
    }

    /// Whether a namespace is joined before the clone: a pid namespace, and with a new user namespace all others.
    fn is_joined_before_clone(&self, join: &JoinedNamespace<'_>) -> bool {
        join.kind == Kind::Pid || self.is_new(Kind::User)
    }

    /// Whether processes in a joined namespace can access the child right after the clone, while it still has the
    /// rights of the host.
    pub fn exposes_child(&self) -> bool {
        self.is_joined(Kind::User) || self.is_joined(Kind::Pid)
    }

    /// Joins namespaces before the clone, in the parent or the intermediate process. Returns the namespaces that were
    /// left, for [`restore`].
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

    /// Joins namespaces in the intermediate process, whose child is then in them: all of them if a user namespace is
    /// joined, otherwise those that have to be joined before the clone.
    pub fn join_in_intermediate(&self, opened: &[OwnedFd]) -> Result<()> {
        match self.is_joined(Kind::User) {
            true => self.join_inside(opened, true),
            false => self.join_before(opened).map(drop),
        }
    }

    /// Joins the remaining namespaces, in the child.
    ///
    /// If a user namespace is joined, the namespaces that it owns must be joined after it, and all others before it.
    /// Which ones it owns is not known, so all are tried before it, and those that are denied (EPERM) again after it.
    ///
    /// `pid` is whether the pid namespace is joined as well. That is done in the intermediate process, for its child:
    /// the process itself stays in its pid namespace, and uses the PIDs of that.
    pub fn join_inside(&self, opened: &[OwnedFd], pid: bool) -> Result<()> {
        if self.is_new(Kind::User) {
            return Ok(());
        }
        let mut denied = 0u32;
        let mine = || self.joined.iter().zip(opened).filter(|(join, _)| pid || join.kind != Kind::Pid);
        for (join, fd) in mine().filter(|(join, _)| join.kind != Kind::User) {
            match enter(join.kind, fd) {
                Err(Errno::PERM) if self.is_joined(Kind::User) => denied |= 1 << join.kind as u32,
                entered => join.explain(entered, fd)?,
            }
        }
        for (join, fd) in mine().filter(|(join, _)| join.kind == Kind::User) {
            join.enter(fd)?;
        }
        for (join, fd) in mine().filter(|(join, _)| denied & (1 << join.kind as u32) != 0) {
            join.enter(fd)?;
        }
        Ok(())
    }
}

/// The path of the calling process's own namespace of a kind.
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

/// Whether a file descriptor refers to the calling process's own namespace of a kind.
fn is_own(kind: Kind, fd: &OwnedFd) -> Result<bool> {
    let own = stat(own(kind)).on(format_args!("newfstatat {}", Show(own(kind))))?;
    let other = fstat(fd).on(format_args!("fstat"))?;
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

/// Joins the namespaces again that [`Plan::join_before`] has left.
pub fn restore(back: &[(Kind, OwnedFd)]) -> Result<()> {
    for (kind, fd) in back {
        enter(*kind, fd).on(format_args!("setns back to the {} namespace", kind.name()))?;
    }
    Ok(())
}

impl JoinedNamespace<'_> {
    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn enter(&self, fd: &OwnedFd) -> Result<()> {
        self.explain(enter(self.kind, fd), fd)
    }

    fn explain(&self, entered: rustix::io::Result<()>, fd: &OwnedFd) -> Result<()> {
        let entered = entered.map_err(|errno| {
            let is_own = |user: &OwnedFd| is_own(Kind::User, user).unwrap_or_default();
            refused::explain(errno, (self.kind, flag(self.kind)), fd, is_own)
        });
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

/// The `CLONE_NEW*` flag of a kind.
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
