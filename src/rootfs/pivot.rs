//! Leaving the host's tree (pivot_root(2), umount(2), chroot(2)).

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount as umount2};
use rustix::process::{chroot, fchdir, pivot_root};

use super::path::Root;
use super::{tree, unmount};
use crate::error::{On, Result};

/// How the host's tree is left.
#[derive(Clone, Copy)]
pub struct PivotOptions {
    /// pivot_root, or chroot with `--no-pivot`.
    pub pivot: bool,
    /// The container's root is attached where the bundle has it, or else over the host's root.
    pub in_place: bool,
}

/// Makes `root` the root of this mount namespace, and drops all that was there before. Either way the working
/// directory is the new root.
///
/// The first mount of a namespace cannot be exchanged (EINVAL): where the host runs on its initramfs, that is its
/// root. There, and with `--no-pivot`, the root is put over it, the rest is unmounted, and chroot does the last step. A
/// process does not climb out of that, since what lies above the root is the root again; but with CAP_SYS_ADMIN it may
/// unmount it, and see the initramfs.
pub fn enter(root: &Root, options: PivotOptions) -> Result<()> {
    fchdir(root.fd()).on(format_args!("fchdir rootfs"))?;
    if options.pivot {
        match pivot_root(c".", c".") {
            Err(Errno::INVAL) if unmount::root_is_first()? => {}
            pivoted => {
                pivoted.on(format_args!("pivot_root . ."))?;
                return drop_old(if options.in_place { 0 } else { root.covered() });
            }
        }
    }
    change_root(root, options.in_place)
}

/// pivot_root(2), "pivot_root(".", ".")": the old root has been put over the new one, and is taken off, what lies over
/// it first: umount2 takes the topmost. `above` is how many mounts lie over the old root, and came along with it.
fn drop_old(above: u32) -> Result<()> {
    for _ in 0..=above {
        umount2(c".", UnmountFlags::DETACH).on(format_args!("umount2 . MNT_DETACH"))?;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn change_root(root: &Root, in_place: bool) -> Result<()> {
    if in_place {
        // Out of a directory below the host's root one climbs (chroot(2)).
        tree::attach_at_path(root.fd(), c"/")?;
    }
    unmount::everything()?;
    chroot(c".").on(format_args!("chroot ."))
}
