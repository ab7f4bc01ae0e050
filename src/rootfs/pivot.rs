//! Leaving the host's tree (pivot_root(2), umount(2), chroot(2)).

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chroot, fchdir, pivot_root};

use super::path::Root;
use crate::error::{On, Result};

/// Makes `root`, which is mounted over the old root, the root of this mount namespace, and drops all that
/// was there before. Without pivot (`--no-pivot`, for hosts whose root is an initramfs, which the kernel
/// does not let go) by chroot, out of which a process with CAP_SYS_CHROOT can climb. Either way the working
/// directory is the new root.
///
/// `above` is how many mounts lie over the old root, and come along with it.
pub fn enter(root: &Root, pivot: bool, above: u32) -> Result<()> {
    fchdir(root.fd()).on(format_args!("fchdir rootfs"))?;
    if pivot {
        // pivot_root(2), "pivot_root(".", ".")": the old root is put over the new one, and taken off, what lies
        // over it first: umount2 takes the topmost.
        pivot_root(c".", c".").on(format_args!("pivot_root . ."))?;
        for _ in 0..=above {
            unmount(c".", UnmountFlags::DETACH).on(format_args!("umount2 . MNT_DETACH"))?;
        }
    } else {
        chroot(c".").on(format_args!("chroot ."))?;
    }
    Ok(())
}
