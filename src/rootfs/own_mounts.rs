//! Which directories are the container's own: its root, and every tmpfs that was made for it. All others are the
//! host's, whoever may see them besides (bind mounts, and filesystems of which there is only one, as devtmpfs): there
//! no node and no link is made or changed.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{fstat, renameat};
use rustix::io::Errno;

use super::op::Op;
use super::path::Root;
use crate::error::{On, Result};

/// The mounts that are the container's own.
#[derive(Clone, Copy)]
pub struct OwnMounts<'p, 'a> {
    pub root: &'p Root,
    pub mounts: &'p [Op<'a>],
}

impl OwnMounts<'_, '_> {
    /// Whether a directory is the container's own. What is mounted somewhere below the bundle's root already is not.
    pub fn contain(self, directory: &OwnedFd) -> Result<bool> {
        let stat = fstat(directory).on(format_args!("fstat"))?;
        // rename(2) answers without a change: EXDEV when the mounts differ, even if the filesystem is the same, and
        // else EBUSY for the name ".".
        let on_roots = || renameat(self.root.fd(), c".", directory, c".") == Err(Errno::BUSY);
        Ok(self.mounts.iter().any(|mount| mount.holds(&stat)) || on_roots())
    }

    /// Whether what is missing of a path would be made in such a directory.
    pub fn would_contain(self, path: &CStr) -> Result<bool> {
        let above = self.root.nearest(path)?;
        let own = self.contain(&above);
        self.root.release(above);
        own
    }
}
