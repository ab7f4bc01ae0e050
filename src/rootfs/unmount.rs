//! Unmounting of the host's mounts, if its root remains the first mount of the namespace (proc_pid_mountinfo(5)). They
//! are unmounted by path; paths begin at the host's root until chroot(2).

use core::ffi::CStr;
use core::iter;

use linux_raw_sys::general as sys;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, fstatfs, open};
use rustix::mount::{UnmountFlags, unmount};

use super::mountinfo::{Mount, each, mount_id, mountinfo};
use super::{mask, tree};
use crate::error::{At, On, Result, Show};

/// Whether this process's root is the first mount of its namespace.
pub fn root_is_first() -> Result<bool> {
    let (root, mut first) = (root_mount()?, false);
    each(&mountinfo()?, &mut |mount| {
        first |= mount.id == root && mount.parent == root;
        Ok(())
    })?;
    Ok(first)
}

/// Unmounts all mounts of the host except its root. If this is denied, in a user namespace that does not own the
/// mounts, each procfs and sysfs is covered instead: as long as one without masks is visible, the kernel permits a
/// process of the container to mount a new, unmasked one in a user namespace of its own (mount_namespaces(7)).
pub fn everything() -> Result<()> {
    let root = root_mount()?;
    // Opened before, because the procfs may be unmounted first.
    let file = mountinfo()?;
    loop {
        let (mut done, mut denied) = (false, false);
        each(&file, &mut |mount| {
            if mount.parent == root && mount.path != c"/" {
                // Several mounts may be stacked at a path; umount2 removes the topmost.
                let removed = (0..).take_while(|_| remove(mount.path)).count();
                done |= removed > 0;
                denied |= removed == 0;
            }
            Ok(())
        })?;
        match (done, denied) {
            (_, false) => return Ok(()),
            // Its path may have been below a mount that is removed now.
            (true, true) => {}
            (false, true) => return each(&file, &mut |mount| cover(&mount)),
        }
    }
}

fn remove(path: &CStr) -> bool {
    unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok()
}

/// Mounts an empty tmpfs over a procfs or sysfs. One that is hidden by another mount is ignored.
fn cover(mount: &Mount<'_>) -> Result<()> {
    if !matches!(mount.kind, b"proc" | b"sysfs") {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(place) = open(mount.path, flags, Mode::empty()) else { return Ok(()) };
    let magic = fstatfs(&place).on(format_args!("fstatfs"))?.f_type as u64;
    match [sys::PROC_SUPER_MAGIC, sys::SYSFS_MAGIC].iter().any(|one| u64::from(*one) == magic) {
        true => {
            let (_, empty) = tree::filesystem(c"tmpfs", c"tmpfs", iter::empty(), mask::HIDDEN.into())?;
            tree::attach_at_path(empty.as_fd(), mount.path).at(format_args!("{}", Show(mount.path)))
        }
        false => Ok(()),
    }
}

/// The mount ID of this process's root, as in mountinfo.
fn root_mount() -> Result<u64> {
    let root = open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on(format_args!("openat /"))?;
    mount_id(root.as_fd())
}
