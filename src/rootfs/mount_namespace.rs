//! A mount namespace without the mounts of the host (mount_namespaces(7)).
//!
//! CLONE_NEWNS copies all mounts of the caller's mount namespace, which takes about 5 us each, to unmount them again
//! after pivot_root(2). If a container needs none of them, its mount namespace is created empty (CLONE_EMPTY_MNTNS, linux
//! 7.1), or as a copy of a nearly empty one that an earlier container start has pinned (`launch/pinned.rs`).

use linux_raw_sys::general::CLONE_NEWNS;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{On, Result};
use crate::sys::clone::unshare;
use crate::sys::mount::{SetAttr, mount_setattr};

/// Who creates the mount namespace, if it is not joined.
pub enum Creator {
    /// The clone3(2) of the container init, as a copy of the host's.
    Clone,
    /// The same, but empty.
    CloneEmpty,
    /// The container init, as a copy of this one.
    Child(OwnedFd),
    /// None: the container has none of its own.
    Nobody,
}

/// `CLONE_EMPTY_MNTNS` of include/uapi/linux/sched.h, for clone3(2). EINVAL before linux 7.1.
pub const CLONE_EMPTY_MNTNS: u64 = 1 << 37;

/// What the container's root is attached over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beneath {
    /// The host's root, with copies of all its mounts.
    Host,
    /// The immutable root of an empty mount namespace, which pivot_root(2) cannot replace.
    Nullfs,
    /// An empty tmpfs.
    Tmpfs,
    /// It is not attached: the container has no mount namespace.
    Nothing,
}

impl Creator {
    /// Enters the new mount namespace, in the container init.
    pub fn enter(&self) -> Result<Beneath> {
        match self {
            Creator::Clone => Ok(Beneath::Host),
            Creator::CloneEmpty => Ok(Beneath::Nullfs),
            Creator::Nobody => Ok(Beneath::Nothing),
            Creator::Child(pinned) => {
                let entered =
                    move_into_link_name_space(pinned.as_fd(), Some(LinkNameSpaceType::Mount)).is_ok();
                unshare(CLONE_NEWNS).on(format_args!("unshare CLONE_NEWNS"))?;
                Ok(if entered { Beneath::Tmpfs } else { Beneath::Host })
            }
        }
    }
}

/// Whether detached mounts can be changed. Otherwise the host's procfs is needed (`bind_remount.rs`).
pub fn has_mount_setattr() -> bool {
    // This changes nothing.
    mount_setattr(CWD, SetAttr::default()) != Err(Errno::NOSYS)
}
