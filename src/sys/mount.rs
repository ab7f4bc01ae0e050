//! mount_setattr(2) (linux 5.12).

use core::mem::size_of;

use linux_raw_sys::general::{__NR_mount_setattr, AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_IDMAP, mount_attr};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

/// Changes to a mount, or with `recursive` to all mounts of its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear; all of `MOUNT_ATTR__ATIME` if an access time attribute is changed.
    pub clear: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    pub recursive: bool,
}

impl SetAttr {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// Changes the mount whose root is `fd`.
pub fn mount_setattr(fd: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    let attributes = mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    set(fd, &attributes, change.recursive)
}

/// Maps the owners of files in a mount, or in all mounts of its tree, with the ID maps of the user namespace
/// `namespace` (MOUNT_ATTR_IDMAP).
pub fn mount_idmap(fd: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let attr_set = MOUNT_ATTR_IDMAP.into();
    let userns_fd = namespace.as_raw_fd() as u64;
    set(fd, &mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd }, recursive)
}

#[inline(always)]
fn set(fd: BorrowedFd<'_>, attributes: &mount_attr, recursive: bool) -> Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a static empty string; the structure outlives the call, and its size is passed. The kernel
    // only reads both.
    let returned = unsafe {
        super::raw::syscall5(
            __NR_mount_setattr as usize,
            fd.as_raw_fd() as usize,
            c"".as_ptr() as usize,
            flags as usize,
            &raw const *attributes as usize,
            size_of::<mount_attr>(),
        )
    };
    super::check(returned).map(drop)
}
