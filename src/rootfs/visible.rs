//! A new procfs or sysfs in a user namespace: the kernel permits it only if one is already fully visible in the mount
//! namespace, so that it reveals nothing that was masked (`mount_too_revealing` of fs/namespace.c). In a mount
//! namespace without the host's mounts, a copy of the host's is attached for that moment.

use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;

use linux_raw_sys::general as sys;
use rustix::fd::OwnedFd;
use rustix::fs::fstatfs;

use super::tree;

/// The copies of the host's filesystems, until they were used.
#[derive(Default)]
pub struct Visible {
    proc: Cell<Option<OwnedFd>>,
    sys: Cell<Option<OwnedFd>>,
}

impl Visible {
    /// Copies the host's /proc or /sys, in the parent, if they are `needed`. `None` if one cannot be copied without the
    /// mounts below it, or is another filesystem.
    pub fn open(needed: impl Fn(&CStr) -> bool) -> Option<Self> {
        let visible = Visible::default();
        for (kind, path, magic, place) in [
            (c"proc", c"/proc", sys::PROC_SUPER_MAGIC, &visible.proc),
            (c"sysfs", c"/sys", sys::SYSFS_MAGIC, &visible.sys),
        ] {
            if needed(kind) {
                let tree = tree::copy_path(path, false, false).ok()?;
                let is_it = fstatfs(&tree).is_ok_and(|found| found.f_type as u64 == u64::from(magic));
                place.set(is_it.then_some(tree));
                place.take().map(|tree| place.set(Some(tree)))?;
            }
        }
        Some(visible)
    }

    /// Takes the copy of a filesystem type, if there is one.
    pub fn take(&self, kind: &CStr) -> Option<OwnedFd> {
        match kind.to_bytes() {
            b"proc" => self.proc.take(),
            b"sysfs" => self.sys.take(),
            _ => None,
        }
    }
}

impl fmt::Debug for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("-")
    }
}
