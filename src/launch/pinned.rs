//! A mount namespace with nothing but an empty tmpfs, pinned beside the containers, on hosts with many mounts and
//! without CLONE_EMPTY_MNTNS (linux 7.1): a container init that enters it before it creates its own mount namespace
//! does not copy the host's mounts.
//!
//! A mount namespace is pinned by a bind mount of its file, which must be on a private mount (unshare(1), `--mount`):
//! `.mount-namespace` is bind-mounted to itself, private and unbindable, so that other mount namespaces and containers
//! get no copy of the pin. It remains until the directory is unmounted, or the host is shut down.

use core::convert::Infallible;
use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, StatxAttributes, StatxFlags, flock, fstat, fstatfs, mkdirat,
    openat, statx,
};
use rustix::io::{Errno, read};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{fchdir, geteuid, pivot_root};

use super::message::{Channel, Message};
use crate::error::{Error, On, Result};
use crate::os::procfs;
use crate::rootfs::mount_namespace::{enter_root, make_private};
use crate::rootfs::tree;
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::close_in_child;
use crate::sys::mount::SetAttr;
use crate::sys::pidfd::reap;

/// The directory, relative to a state directory, and the file in it on which the namespace is mounted.
const DIRECTORY: &CStr = c"../.mount-namespace";
const PIN: &CStr = c"pin";

/// The number of mounts from which on a namespace is pinned. To copy this many takes 1 ms.
const MANY: usize = 200;

/// Opens the pinned mount namespace, if there is one; `directory` is a state directory. A directory that other users can
/// write to is ignored, as the namespace may be theirs.
pub fn open(directory: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(directory, DIRECTORY, flags | OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let found = fstat(&place).ok()?;
    if found.st_uid != geteuid().as_raw() || found.st_mode & 0o022 != 0 {
        return None;
    }
    let pin = openat(&place, PIN, flags | OFlags::RDONLY, Mode::empty()).ok()?;
    // Otherwise nothing is mounted on the file.
    (fstatfs(&pin).ok()?.f_type as u64 == u64::from(sys::NSFS_MAGIC)).then_some(pin)
}

/// Pins a mount namespace if the host has many mounts, after a container was created with copies of them. If this
/// fails, the next container is created in the same way.
#[cold]
#[inline(never)]
pub fn provide(directory: BorrowedFd<'_>) {
    if has_many_mounts().unwrap_or_default() {
        let _ = pin(directory);
    }
}

fn has_many_mounts() -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(procfs::open()?, c"self/mountinfo", flags, Mode::empty());
    let file = file.on(format_args!("openat /proc/self/mountinfo"))?;
    let (mut block, mut lines) = ([0; 1024], 0);
    while lines < MANY {
        let length = read(&file, &mut block).on(format_args!("read /proc/self/mountinfo"))?;
        if length == 0 {
            return Ok(false);
        }
        lines += block.iter().take(length).filter(|byte| **byte == b'\n').count();
    }
    Ok(true)
}

fn pin(directory: BorrowedFd<'_>) -> Result<()> {
    let place = private_directory(directory)?;
    let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&place, PIN, flags, Mode::from_raw_mode(0o600)).on(format_args!("openat pin"))?;
    let proc = procfs::open_own(false)?;
    let (channel, child_channel) = Channel::pair()?;
    let (pid, pidfd) = spawn(sys::CLONE_NEWNS.into(), None, || {
        [directory, place.as_fd(), channel.fd()].into_iter().for_each(close_in_child);
        hold(&child_channel)
    })
    .on(format_args!("clone3 CLONE_NEWNS"))?;
    drop(child_channel);
    let pinned = match channel.receive() {
        Ok(Message::Done) => {
            let path = alloc::format!("{}/ns/mnt\0", pid.as_raw_nonzero());
            let path = CStr::from_bytes_with_nul(path.as_bytes()).unwrap_or_default();
            tree::copy_at(proc.as_fd(), path).and_then(|namespace| tree::attach(&namespace, file.as_fd()))
        }
        _ => Err(Error::invalid(format_args!("no mount namespace"))),
    };
    drop(channel);
    reap(&pidfd);
    pinned
}

/// Creates the directory and the private mount of it, locked against other processes that do the same. Errors:
/// EWOULDBLOCK if one does.
fn private_directory(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    match mkdirat(directory, DIRECTORY, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::system(errno, format_args!("mkdirat"))),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(directory, DIRECTORY, flags, Mode::empty()).on(format_args!("openat"))?;
    flock(&place, FlockOperation::NonBlockingLockExclusive).on(format_args!("flock"))?;
    let found = statx(&place, c"", AtFlags::EMPTY_PATH, StatxFlags::empty()).on(format_args!("statx"))?;
    let propagation = |kind: u32| SetAttr { propagation: kind.into(), ..SetAttr::default() };
    let mount = match found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        true => place,
        false => {
            let mount = tree::copy(place.as_fd(), false)?;
            tree::change(mount.as_fd(), propagation(sys::MS_PRIVATE))?;
            tree::attach(&mount, place.as_fd())?;
            // With a lock of its own, which the open file holds.
            let mount = openat(&mount, c".", flags, Mode::empty()).on(format_args!("openat"))?;
            flock(&mount, FlockOperation::NonBlockingLockExclusive).on(format_args!("flock"))?;
            mount
        }
    };
    // Only now, because an unbindable mount could not be attached to a shared one; also for a mount whose process was
    // killed before this.
    tree::change(mount.as_fd(), propagation(sys::MS_UNBINDABLE)).map(|()| mount)
}

/// The process that has the mount namespace: replaces everything in it by a tmpfs, reports that, and exits when its
/// parent has pinned the namespace or died.
fn hold(channel: &Channel) -> Infallible {
    if empty().is_ok() {
        channel.send(&Message::Done);
        let _ = channel.receive();
    }
    exit(0)
}

fn empty() -> Result<()> {
    enter_root()?;
    make_private()?;
    let flags =
        sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC;
    let (_, root) = tree::filesystem(c"tmpfs", c"tmpfs", core::iter::empty(), flags.into())?;
    tree::attach_at_path(root.as_fd(), c"/")?;
    fchdir(&root).on(format_args!("fchdir"))?;
    // EINVAL if the host runs on its initramfs (pivot_root(2)).
    pivot_root(c".", c".").on(format_args!("pivot_root . ."))?;
    unmount(c".", UnmountFlags::DETACH).on(format_args!("umount2 . MNT_DETACH"))
}
