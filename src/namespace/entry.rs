//! Joining the namespaces of a running container, all in one call (setns(2) with a pidfd, linux 5.8).

use rustix::fd::{AsFd, OwnedFd};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::flag;
use crate::config::linux::Namespace;
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{On, Result};

/// The namespaces that a container has of its own, as `CLONE_NEW*` flags.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContainerNamespaces {
    flags: u32,
}

impl ContainerNamespaces {
    /// The namespaces that config.json lists.
    pub fn new(namespaces: &[Namespace<'_>]) -> Self {
        ContainerNamespaces {
            flags: namespaces.iter().fold(0, |flags, namespace| flags | flag(namespace.kind)),
        }
    }

    /// Whether it has a mount namespace, whose root a process gets when it joins it.
    pub fn has_mount(self) -> bool {
        self.flags & flag(Kind::Mount) != 0
    }

    /// Whether it has a user namespace; then only a process in it may join the others.
    pub fn has_user(self) -> bool {
        self.flags & flag(Kind::User) != 0
    }

    /// Joins the pid namespace in the parent, before the clone, because it takes effect for children only. This is not
    /// reverted: the parent has no other children, and an unprivileged user has no right to (podman's user namespace
    /// does not own the host's pid namespace).
    pub fn join_before(self, init: &OwnedFd) -> Result<()> {
        match self.flags & flag(Kind::Pid) {
            0 => Ok(()),
            flag => enter(init, flag),
        }
    }

    /// Joins the user and mount namespaces, for access to the container's mounts.
    pub fn join_mount(self, init: &OwnedFd) -> Result<()> {
        enter(init, self.flags & (flag(Kind::User) | flag(Kind::Mount)))
    }

    /// Joins the other namespaces, in the child. `all`: also the pid namespace, for the child's own children.
    pub fn join(self, init: &OwnedFd, all: bool) -> Result<()> {
        match if all { self.flags } else { self.flags & !flag(Kind::Pid) } {
            0 => Ok(()),
            flags => enter(init, flags),
        }
    }
}

fn enter(init: &OwnedFd, flags: u32) -> Result<()> {
    let kinds = ThreadNameSpaceType::from_bits_retain(flags);
    move_into_thread_name_spaces(init.as_fd(), kinds).on(format_args!("setns pidfd {flags:#x}"))
}
