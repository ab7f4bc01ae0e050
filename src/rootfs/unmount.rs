//! Unmounting of the host's mounts, if its root remains the first mount of the namespace (proc_pid_mountinfo(5)). They
//! are unmounted by path; paths begin at the host's root until chroot(2).

use core::ffi::CStr;
use core::iter;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::mountinfo::{Mount, each, mount_id, mountinfo};
use super::path_text::{PATH_MAX, join, text};
use super::{mask, tree};
use crate::error::{At, Error, On, Result, Show};

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
/// process of the container to mount a new, unmasked one in a user namespace of its own (mount_namespaces(7)). One that
/// cannot be covered is an error.
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
            (false, true) => return cover_all(&file, root),
        }
    }
}

fn remove(path: &CStr) -> bool {
    unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok()
}

/// The largest number of hidden mounts: the child cannot allocate memory for more.
const MOST: usize = 64;

/// Covers each procfs and sysfs of the host. Errors: EBUSY if one is hidden by another mount, so that no path leads to it.
fn cover_all(file: &OwnedFd, root: u64) -> Result<()> {
    let (mut hidden, mut count) = ([0; MOST], 0);
    each(file, &mut |mount| {
        if !matches!(mount.kind, b"proc" | b"sysfs") || cover(&mount)? {
            return Ok(());
        }
        let place = hidden.get_mut(count).ok_or(Errno::NOMEM).on(format_args!("{MOST} hidden mounts"))?;
        *place = mount.id;
        count += 1;
        Ok(())
    })?;
    hidden.iter().take(count).try_for_each(|id| check_hidden(file, *id, root))
}

/// Mounts an empty tmpfs over a procfs or sysfs; `false` if another mount hides it.
fn cover(mount: &Mount<'_>) -> Result<bool> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(place) = open(mount.path, flags, Mode::empty()) else { return Ok(false) };
    if mount_id(place.as_fd())? != mount.id {
        return Ok(false);
    }
    let (_, empty) = tree::filesystem(c"tmpfs", c"tmpfs", iter::empty(), mask::HIDDEN.into())?;
    tree::attach(&empty, place.as_fd()).at(format_args!("{}", Show(mount.path)))?;
    Ok(true)
}

/// Checks a procfs or sysfs that no path leads to: it may be the container's, or a mount on its own root may cover it.
fn check_hidden(file: &OwnedFd, id: u64, root: u64) -> Result<()> {
    let mut space = [0u8; PATH_MAX];
    let (mut parent, mut is_over_root) = (id, false);
    // From the mount up to the root; the container's root is attached over it.
    while parent != root {
        let child = parent;
        each(file, &mut |mount| {
            if mount.id == child {
                (parent, is_over_root) = (mount.parent, mount.path == c"/");
                if child == id {
                    join(&mut space, &[mount.path.to_bytes()]).on(format_args!("mountinfo"))?;
                }
            }
            Ok(())
        })?;
        if parent == child {
            break;
        }
    }
    let path = text(&space);
    let mut is_covered = false;
    each(file, &mut |mount| {
        is_covered |= mount.parent == id && mount.path == path;
        Ok(())
    })?;
    if is_over_root || is_covered {
        return Ok(());
    }
    let why = "hidden by another mount: without pivot_root a process of the container could mount a procfs without masks";
    Err(Error::system(Errno::BUSY, format_args!("{why}"))).at(format_args!("{}", Show(path)))
}

/// The mount ID of this process's root, as in mountinfo.
fn root_mount() -> Result<u64> {
    let root = open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on(format_args!("openat /"))?;
    mount_id(root.as_fd())
}
