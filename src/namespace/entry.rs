//! Entering the namespaces of a container that runs (setns(2) with a pidfd, linux 5.8): all at once.

use rustix::fd::{AsFd, OwnedFd};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::flag;
use crate::config::linux::Namespace;
use crate::config::linux::NamespaceKind as Kind;
use crate::error::{On, Result};

/// Which of its namespaces are the container's, as bits `CLONE_NEW*`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContainerNamespaces {
    flags: u32,
}

impl ContainerNamespaces {
    /// Those that its configuration lists.
    pub fn new(namespaces: &[Namespace<'_>]) -> Self {
        ContainerNamespaces {
            flags: namespaces.iter().fold(0, |flags, namespace| flags | flag(namespace.kind)),
        }
    }

    /// Whether it has a user namespace: then only a process in there may join the others.
    pub fn has_user(self) -> bool {
        self.flags & flag(Kind::User) != 0
    }

    /// The parent's part, before the clone: a pid namespace is entered by children only. It stays so: there will be
    /// no other child, and an ordinary user has no way back (podman's user namespace does not own the host's).
    pub fn join_before(self, init: &OwnedFd) -> Result<()> {
        match self.flags & flag(Kind::Pid) {
            0 => Ok(()),
            flag => enter(init, flag),
        }
    }

    /// Those that its tree of files is of.
    pub fn join_mount(self, init: &OwnedFd) -> Result<()> {
        enter(init, self.flags & (flag(Kind::User) | flag(Kind::Mount)))
    }

    /// The child's part: all others; with `all` the pid namespace too, for children of its own.
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
