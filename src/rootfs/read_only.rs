//! Mounts that are made read-only only after others are in place, because mount points below them cannot be created
//! later.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::fstatfs;
use rustix::io::fcntl_dupfd_cloexec;

use super::path::Root;
use super::tree;
use crate::error::{On, Result};
use crate::sys::mount::SetAttr;

/// The change that makes a mount read-only.
const READ_ONLY: SetAttr =
    SetAttr { set: sys::MOUNT_ATTR_RDONLY as u64, clear: 0, propagation: 0, recursive: false };

/// The delayed read-only flag of one mount.
#[derive(Default)]
pub struct LateReadOnly {
    /// The mount that is to be made read-only.
    tree: Cell<Option<OwnedFd>>,
    /// Whether it is a read-only bind mount with a later mount below it.
    delayed: bool,
}

impl fmt::Debug for LateReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.delayed { "read-only after later mounts" } else { "-" })
    }
}

impl LateReadOnly {
    /// Keeps a tree to make it read-only later; `false` if the limit of file descriptors does not permit it.
    fn keep(&self, root: &Root, tree: &OwnedFd) -> Result<bool> {
        let tree = fcntl_dupfd_cloexec(tree, 0).on(format_args!("fcntl F_DUPFD_CLOEXEC"))?;
        let room = root.has_room(&tree);
        if room {
            self.tree.set(Some(tree));
        }
        Ok(room)
    }

    /// Makes a tmpfs read-only later; or now, if the limit of file descriptors does not permit to keep it: then mount
    /// points of later mounts must exist in it already.
    pub fn read_only(&self, root: &Root, tree: &OwnedFd) -> Result<()> {
        match self.keep(root, tree)? {
            true => Ok(()),
            false => tree::change(tree.as_fd(), READ_ONLY),
        }
    }

    /// Marks a read-only bind mount as delayed.
    pub fn set_delayed(&mut self) {
        self.delayed = true;
    }

    /// Whether a read-only bind mount is delayed.
    pub fn is_delayed(&self) -> bool {
        self.delayed
    }

    /// Keeps a bind mount to make it read-only later. Returns the changes that are made now, `top` without the
    /// read-only flag, which remains set if it is set on the host.
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

    /// Makes the mount read-only, if it was kept for that.
    pub fn finish(&self) -> Result<()> {
        self.tree.take().map_or(Ok(()), |tree| tree::change(tree.as_fd(), READ_ONLY))
    }
}

/// Selects from `indices` the mounts with a later mount below their destination. `destinations` has those of all mounts
/// in order; they are compared as text.
#[cold]
#[inline(never)]
pub fn with_later_below(destinations: &[&CStr], indices: &[usize]) -> Vec<usize> {
    let place = |index: usize| destinations.get(index).copied().unwrap_or_default();
    // Each destination once, with the index of the last mount below it.
    let mut places: Vec<(&CStr, usize)> = indices.iter().map(|index| (place(*index), 0)).collect();
    places.sort_unstable_by(|(one, _), (other, _)| names(one).cmp(names(other)));
    places.dedup_by(|(one, _), (other, _)| names(one).eq(names(other)));
    let find = |places: &[(&CStr, usize)], path: &CStr, count: usize| {
        places.binary_search_by(|(place, _)| names(place).cmp(names(path).take(count))).ok()
    };
    for (index, path) in destinations.iter().enumerate() {
        for count in 0..names(path).count() {
            if let Some((_, latest)) = find(&places, path, count).and_then(|at| places.get_mut(at)) {
                *latest = index;
            }
        }
    }
    let is_before = |index: &usize| {
        let found = find(&places, place(*index), usize::MAX).and_then(|at| places.get(at));
        found.is_some_and(|(_, latest)| latest > index)
    };
    indices.iter().copied().filter(is_before).collect()
}

/// The names of a path, without empty ones and `.`.
fn names(path: &CStr) -> impl Iterator<Item = &[u8]> {
    path.to_bytes().split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_mounts_below() {
        let list =
            [c"/a", c"/a/b", c"/ab", c"/", c"b//c/.", c"//a/./b/c/", c"/b", c"/b/c", c"/a/b/c", c"/a/b"];
        let all: Vec<usize> = (0..list.len()).collect();
        assert_eq!(with_later_below(&list, &all), [0, 1, 3, 6]);
        assert_eq!(with_later_below(&list, &[2, 6, 1]), [6, 1]);
        assert_eq!(with_later_below(&[c"/a", c"/a"], &[0, 1]), []);
        assert_eq!(with_later_below(&[c"/a/b", c"/a"], &[0, 1]), []);
        assert_eq!(with_later_below(&[], &[]), []);
    }
}
