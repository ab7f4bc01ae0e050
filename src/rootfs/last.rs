//! What is done to a mount when others are in place: it is made read-only, and mount points below it can no longer be
//! made. And what is known of it then.

use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Stat, fstatfs};
use rustix::io::fcntl_dupfd_cloexec;

use super::path::Root;
use super::tree;
use crate::error::{On, Result};
use crate::sys::mount::SetAttr;

/// The last change.
const READ_ONLY: SetAttr =
    SetAttr { set: sys::MOUNT_ATTR_RDONLY as u64, clear: 0, propagation: 0, recursive: false };

/// Of one mount.
#[derive(Default)]
pub struct Last {
    /// The tree that is to be made read-only.
    tree: Cell<Option<OwnedFd>>,
    /// The device number of a tmpfs, which nothing outside the container has; 0 of others.
    device: Cell<u64>,
}

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-")
    }
}

impl Last {
    /// Keeps a tree to make it read-only at last; `false` where descriptors are short.
    fn keep(&self, root: &Root, tree: &OwnedFd) -> Result<bool> {
        let tree = fcntl_dupfd_cloexec(tree, 0).on(format_args!("fcntl F_DUPFD_CLOEXEC"))?;
        let room = root.has_room(&tree);
        if room {
            self.tree.set(Some(tree));
        }
        Ok(room)
    }

    /// Makes a tmpfs read-only at last; where descriptors are short, now: mount points below it must be there then.
    pub fn read_only(&self, root: &Root, tree: &OwnedFd) -> Result<()> {
        match self.keep(root, tree)? {
            true => Ok(()),
            false => tree::change(tree.as_fd(), READ_ONLY),
        }
    }

    /// The same of a bind mount, and what of `top` is changed at once: it is not read-only until then, unless it is
    /// on the host.
    #[cold]
    #[inline(never)]
    pub fn delay(&self, root: &Root, tree: &OwnedFd, mut top: SetAttr) -> Result<SetAttr> {
        if !self.keep(root, tree)? {
            return Ok(top);
        }
        let readonly = sys::MOUNT_ATTR_RDONLY;
        let flags = fstatfs(tree).on(format_args!("fstatfs"))?.f_flags as u64;
        match flags & u64::from(sys::MS_RDONLY) {
            0 => top.remove(readonly),
            _ => top.set &= !u64::from(readonly),
        }
        Ok(top)
    }

    /// Makes it read-only, if it was kept for that.
    pub fn finish(&self) -> Result<()> {
        self.tree.take().map_or(Ok(()), |tree| tree::change(tree.as_fd(), READ_ONLY))
    }

    /// It is a tmpfs, and this is its root.
    pub fn is_tmpfs_of(&self, root: &Stat) {
        self.device.set(root.st_dev);
    }

    /// Whether a file lies on that tmpfs.
    pub fn holds(&self, file: &Stat) -> bool {
        file.st_dev == self.device.get()
    }
}

/// Whether a path lies below a place, as far as their words tell.
pub fn lies_below(path: &CStr, place: &CStr) -> bool {
    let mut names = names(path);
    self::names(place).all(|name| names.next() == Some(name)) && names.next().is_some()
}

fn names(path: &CStr) -> impl Iterator<Item = &[u8]> {
    path.to_bytes().split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::lies_below;

    #[test]
    fn paths_below_a_place() {
        for (path, place) in [(c"/a/b", c"/a"), (c"//a/./b/c", c"/a/b/"), (c"/a", c"/"), (c"a/b", c"/a")] {
            assert!(lies_below(path, place), "{path:?} {place:?}");
        }
        for (path, place) in
            [(c"/a", c"/a"), (c"/ab", c"/a"), (c"/a", c"/a/b"), (c"/", c"/"), (c"/b/a", c"/a")]
        {
            assert!(!lies_below(path, place), "{path:?} {place:?}");
        }
    }
}
