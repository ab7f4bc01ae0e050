//! The container's own mounts: its root, and each tmpfs that was created for it. All others belong to the host and may
//! be visible elsewhere (bind mounts, and filesystems with a single instance such as devtmpfs): device nodes and links
//! are not created or changed there.

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
    /// Whether a directory is on a mount of the container's own. Mounts that were below the bundle's root on the host
    /// are not.
    pub fn contain(self, directory: &OwnedFd) -> Result<bool> {
        let stat = fstat(directory).on(format_args!("fstat"))?;
        // Compares mounts, not filesystems: renameat(2) of "." always fails without effect, with EXDEV if the two
        // directories are on different mounts, and with EBUSY if they are on the same mount.
        let on_roots = || renameat(self.root.fd(), c".", directory, c".") == Err(Errno::BUSY);
        Ok(self.mounts.iter().any(|mount| mount.holds(&stat)) || on_roots())
    }

    /// Whether the deepest existing directory of a path, in which its missing names would be created, is on the
    /// container's own mounts.
    pub fn would_contain(self, path: &CStr) -> Result<bool> {
        let above = self.root.nearest(path)?;
        let own = self.contain(&above);
        self.root.release(above);
        own
    }
}
