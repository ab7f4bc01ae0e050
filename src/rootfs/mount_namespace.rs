//! A mount namespace without the mounts of the host (mount_namespaces(7)).
//!
//! CLONE_NEWNS copies all mounts of the caller's mount namespace, which takes about 5 us each, to unmount them again
//! after pivot_root(2). If a container needs none of them, the container init creates its mount namespace itself: an
//! empty one (UNSHARE_EMPTY_MNTNS, linux 7.1), or a copy of a nearly empty one that an earlier container start has
//! pinned (`launch/pinned.rs`), or else a copy of the host's.

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
    /// The clone3(2) of the container init.
    Clone,
    /// None: the container has none of its own.
    Nobody,
    /// The container init, without the host's mounts if it can. `enters`: it has the rights to enter a pinned namespace,
    /// which is `pinned` if there is one.
    Child { enters: bool, pinned: Option<OwnedFd> },
}

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

/// `UNSHARE_EMPTY_MNTNS` of include/uapi/linux/sched.h: the value of CLONE_PARENT_SETTID, which has no meaning for
/// unshare(2). EINVAL before linux 7.1.
const UNSHARE_EMPTY_MNTNS: u32 = 0x10_0000;

impl Creator {
    /// Enters the new mount namespace, in the container init.
    pub fn enter(&self) -> Result<Beneath> {
        let pinned = match self {
            Creator::Clone => return Ok(Beneath::Host),
            Creator::Nobody => return Ok(Beneath::Nothing),
            Creator::Child { pinned, .. } => pinned,
        };
        // Without mount_setattr(2) the host's procfs is needed (`bind_remount.rs`). This changes nothing.
        let changes_detached = mount_setattr(CWD, SetAttr::default()) != Err(Errno::NOSYS);
        if changes_detached && unshare(UNSHARE_EMPTY_MNTNS).is_ok() {
            return Ok(Beneath::Nullfs);
        }
        let enter = |pinned: &OwnedFd| {
            move_into_link_name_space(pinned.as_fd(), Some(LinkNameSpaceType::Mount)).is_ok()
        };
        let is_pinned = changes_detached && pinned.as_ref().is_some_and(enter);
        unshare(CLONE_NEWNS).on(format_args!("unshare CLONE_NEWNS"))?;
        Ok(if is_pinned { Beneath::Tmpfs } else { Beneath::Host })
    }

    /// Whether the host's mounts would not have been copied with a pinned namespace.
    pub fn wants_pinned(&self, beneath: Option<Beneath>) -> bool {
        beneath == Some(Beneath::Host) && matches!(self, Creator::Child { enters: true, .. })
    }
}
