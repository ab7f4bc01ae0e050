//! A mount namespace without the mounts of the host (mount_namespaces(7)).
//!
//! CLONE_NEWNS copies all mounts of the caller's mount namespace, which takes about 5 us each, to unmount them again
//! after pivot_root(2). If a container needs none of them, its mount namespace is created empty (CLONE_EMPTY_MNTNS, linux
//! 7.1), or as a copy of a nearly empty one that an earlier container start has pinned (`launch/pinned.rs`).

use core::ffi::CStr;

use linux_raw_sys::general::CLONE_NEWNS;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{PidfdFlags, chroot, fchdir, getpid, pidfd_open};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};

use crate::error::{On, Result};
use crate::os::procfs;
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

/// Makes all mounts of this mount namespace private, and opens its root. This process's own root directory is below it if
/// mote runs in a chroot; it remains the root. So does the working directory, unless this process may not search it, which
/// it then cannot return to: root of a user namespace in the home directory of another user.
///
/// A container whose root is attached below the namespace's root can be left with `..` by a process that calls chroot(2)
/// once more. And detaching mounts of the host would propagate to it if only those below the chroot were private.
pub fn open_root() -> Result<OwnedFd> {
    let directory = |path: &CStr| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let own = directory(c"/").on(format_args!("openat /"))?;
    let working = match directory(c".") {
        Err(Errno::ACCESS) => None,
        opened => Some(opened.on(format_args!("openat ."))?),
    };
    enter_root()?;
    make_private()?;
    let root = directory(c"/").on(format_args!("openat /"))?;
    change_root(own.as_fd())?;
    working.map_or(Ok(()), fchdir).on(format_args!("fchdir"))?;
    Ok(root)
}

/// Makes the root of this mount namespace the root and the working directory of this process: setns(2) does so, also for
/// the namespace in which the process is already.
pub fn enter_root() -> Result<()> {
    let by_pidfd = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|own| move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::MOUNT));
    // pidfd_open(2) is denied, or a pidfd is not supported by setns(2) before linux 5.8.
    by_pidfd.or_else(|_| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = c"self/ns/mnt";
        let own = openat(procfs::open()?, path, flags, Mode::empty());
        let own = own.on(format_args!("openat /proc/self/ns/mnt"))?;
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount))
            .on(format_args!("setns /proc/self/ns/mnt"))
    })
}

/// Makes all mounts below this process's root directory private: they must not propagate to the host, and pivot_root(2)
/// requires that the old root is not shared.
pub fn make_private() -> Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(c"/", private).on(format_args!("mount / MS_PRIVATE|MS_REC"))
}

/// Makes a directory the root and the working directory of this process only.
pub fn change_root(root: BorrowedFd<'_>) -> Result<()> {
    fchdir(root).on(format_args!("fchdir"))?;
    chroot(c".").on(format_args!("chroot ."))
}

/// Whether detached mounts can be changed. Otherwise the host's procfs is needed (`bind_remount.rs`).
pub fn has_mount_setattr() -> bool {
    // This changes nothing.
    mount_setattr(CWD, SetAttr::default()) != Err(Errno::NOSYS)
}
