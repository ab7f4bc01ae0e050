//! The change of the root directory, and unmounting of the host's mounts (pivot_root(2), umount(2), chroot(2)).

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount as umount2};
use rustix::process::{chroot, fchdir, pivot_root};

use super::mount_namespace::{Beneath, change_root};
use super::path::Root;
use super::{tree, unmount};
use crate::error::{On, Result};

/// How the root directory is changed.
#[derive(Clone, Copy)]
pub struct PivotOptions {
    /// pivot_root(2), or chroot(2) with `--no-pivot`.
    pub pivot: bool,
    /// Whether the container's root is attached at its path in the bundle, instead of over the host's root.
    pub in_place: bool,
}

/// Makes `root` the root of this mount namespace and unmounts all mounts of the host. The working directory is then the
/// new root.
///
/// pivot_root(2) cannot replace the first mount of a namespace (EINVAL), which is the root if the host runs on its
/// initramfs. In this case, and with `--no-pivot`, the container's root is attached over it, all other mounts are
/// unmounted, and chroot(2) is called. A process cannot leave such a root with `..`, because the root is mounted over
/// `/` itself; but with CAP_SYS_ADMIN it can unmount it and access the initramfs.
///
/// Both are done from the root of the mount namespace, also if mote's own root is below it (`mount_namespace.rs`).
///
/// In an empty mount namespace chroot(2) suffices: beneath the container's root is only an empty directory.
pub fn enter(root: &mut Root, options: PivotOptions) -> Result<()> {
    let beneath = root.beneath();
    if matches!(beneath, Some(Beneath::Nullfs | Beneath::Nothing)) {
        return change_root(root.fd());
    }
    if let Some(host) = root.host.take() {
        change_root(host.as_fd())?;
    }
    fchdir(root.fd()).on(format_args!("fchdir rootfs"))?;
    if options.pivot || beneath == Some(Beneath::Tmpfs) {
        match pivot_root(c".", c".") {
            Err(Errno::INVAL) if unmount::root_is_first()? => {}
            pivoted => {
                pivoted.on(format_args!("pivot_root . ."))?;
                return drop_old(if options.in_place { 0 } else { root.covered() });
            }
        }
    }
    without_pivot(root, options.in_place)
}

/// Unmounts the old root, which `pivot_root(".", ".")` stacked over the new one (pivot_root(2)). umount2 removes the
/// topmost mount first; `above` is the number of mounts over the old root that were moved together with it.
fn drop_old(above: u32) -> Result<()> {
    for _ in 0..=above {
        umount2(c".", UnmountFlags::DETACH).on(format_args!("umount2 . MNT_DETACH"))?;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn without_pivot(root: &Root, in_place: bool) -> Result<()> {
    if in_place {
        // Attached over `/`, because chroot(2) to a directory below the host's root can be left with `..`.
        tree::attach_at_path(root.fd(), c"/")?;
    }
    unmount::everything()?;
    chroot(c".").on(format_args!("chroot ."))
}
