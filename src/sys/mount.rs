//! mount_setattr(2) (linux 5.12).

use core::mem::size_of;

use linux_raw_sys::general::{__NR_mount_setattr, AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_IDMAP, mount_attr};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

/// What is changed of a mount, or with `recursive` of every mount of its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear; to change the access time rule, `MOUNT_ATTR__ATIME` as a whole.
    pub clear: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    pub recursive: bool,
}

impl SetAttr {
    /// Nothing to change.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// Changes the mount that `fd` is the root of.
pub fn mount_setattr(fd: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    let attributes = mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    set(fd, &attributes, change.recursive)
}

/// Maps the owners of a mount, or of every mount of its tree, as `namespace` maps ids.
pub fn mount_idmap(fd: BorrowedFd<'_>, namespace: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let attr_set = MOUNT_ATTR_IDMAP.into();
    let userns_fd = namespace.as_raw_fd() as u64;
    set(fd, &mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd }, recursive)
}

#[inline(always)]
fn set(fd: BorrowedFd<'_>, attributes: &mount_attr, recursive: bool) -> Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string with static life, the structure outlives the call and its size
    // is given; the kernel only reads both.
    let returned = unsafe {
        sc::syscall5(
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
