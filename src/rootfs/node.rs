//! One device node or symbolic link in a directory (mknod(2), symlink(2)).

use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, chownat, fstat, makedev, mknodat, openat,
    openat2, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::path::{Root, make_link};
use crate::config::device::{Device, DeviceKind};
use crate::error::{Error, On, Result, Show};
use crate::host;
use crate::sys::mount::SetAttr;

/// The default mode of device nodes.
pub(super) const MODE: u32 = 0o666;

/// The file type and device number of a node.
fn node(device: &Device<'_>) -> (FileType, u64) {
    match device.kind {
        DeviceKind::Char => (FileType::CharacterDevice, makedev(device.major, device.minor)),
        DeviceKind::Block => (FileType::BlockDevice, makedev(device.major, device.minor)),
        DeviceKind::Fifo => (FileType::Fifo, 0),
    }
}

/// Whether a file has the type and number of a device.
fn is(stat: &Stat, device: &Device<'_>) -> bool {
    let (kind, number) = node(device);
    FileType::from_raw_mode(stat.st_mode) == kind && (kind == FileType::Fifo || stat.st_rdev == number)
}

fn differs(device: &Device<'_>, what: &str) -> Error {
    let letter = match device.kind {
        DeviceKind::Char => 'c',
        DeviceKind::Block => 'b',
        DeviceKind::Fifo => 'p',
    };
    let Device { path, major, minor, .. } = device;
    Error::invalid(format_args!("device {}: {what} is not {letter} {major}:{minor}", Show(path)))
}

pub(super) fn owner(device: &Device<'_>) -> (Option<Uid>, Option<Gid>) {
    (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw))
}

/// Checks that a device exists in a directory that is not the container's own, where nothing is created or changed.
/// Errors: the file does not exist, or is not that device.
#[cold]
#[inline(never)]
pub(super) fn is_there(root: &Root, device: &Device<'_>) -> Result<()> {
    let path = device.path;
    let found = match root.open(path) {
        Err(Errno::NOENT) => {
            return Err(Error::invalid(format_args!(
                "device {}: not found, and not created, because its directory is on a mount of the host",
                Show(path)
            )));
        }
        found => found.on(format_args!("openat2 {}", Show(path)))?,
    };
    let stat = fstat(&found).on(format_args!("fstat {}", Show(path)))?;
    root.release(found);
    match is(&stat, device) {
        true => Ok(()),
        false => Err(differs(device, "the existing file")),
    }
}

/// Creates a node; `false` if this process is not permitted to (EPERM). An existing node of the same device is not
/// changed: it may be a mount of the host's.
pub(super) fn make(
    directory: &OwnedFd,
    name: &CStr,
    device: &Device<'_>,
    owner: (Option<Uid>, Option<Gid>),
) -> Result<bool> {
    let (kind, number) = node(device);
    let path = device.path;
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(MODE));
    match mknodat(directory, name, kind, mode, number) {
        // config-linux.md, "Devices": an existing file that "does not match ... MUST generate an error".
        Err(Errno::EXIST) => {
            let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .on(format_args!("newfstatat {}", Show(path)))?;
            return match is(&stat, device) {
                true => Ok(true),
                false if is_earlier_mount_point(&stat) => Ok(false),
                false => Err(differs(device, "the existing file")),
            };
        }
        Err(Errno::PERM) => return Ok(false),
        made => made.on(format_args!("device {}: mknodat", Show(path)))?,
    }
    if owner != (None, None) {
        give(directory, name, device, owner)?;
    }
    Ok(true)
}

/// Whether a file is the mount point of a bind-mounted node, made for an earlier container with the same root: in a user
/// namespace no nodes can be created, which mknod(2) does not report if the file exists.
#[cold]
#[inline(never)]
fn is_earlier_mount_point(stat: &Stat) -> bool {
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_regular && stat.st_size == 0 && host::in_user_namespace()
}

/// Sets the owner of a new node, by a file descriptor whose device is checked, as its name may refer to another file by
/// then.
#[cold]
#[inline(never)]
fn give(
    directory: &OwnedFd,
    name: &CStr,
    device: &Device<'_>,
    (uid, gid): (Option<Uid>, Option<Gid>),
) -> Result<()> {
    let path = Show(device.path);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = openat(directory, name, flags, Mode::empty()).on(format_args!("openat {path}"))?;
    match is(&fstat(&node).on(format_args!("fstat {path}"))?, device) {
        true => chownat(&node, c"", uid, gid, AtFlags::EMPTY_PATH)
            .on(format_args!("device {path}: fchownat AT_EMPTY_PATH")),
        false => Err(differs(device, "the created file")),
    }
}

/// Opens or creates the mount point of a bind-mounted node, in a directory of the container's own. `None` for a default
/// device if an entry of `mounts` is mounted there, which has precedence.
pub(super) fn mount_point(
    directory: &OwnedFd,
    name: &CStr,
    device: &Device<'_>,
    is_default: bool,
) -> Result<Option<OwnedFd>> {
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match openat(directory, name, new, Mode::from_raw_mode(0o644)) {
        Err(Errno::EXIST) if is_default && is_mount_point(directory, name) => return Ok(None),
        Err(Errno::EXIST) => {}
        made => drop(made.on(format_args!("device {}: openat O_CREAT", Show(device.path)))?),
    }
    let target = openat(directory, name, path, Mode::empty());
    target.map(Some).on(format_args!("device {}: openat", Show(device.path)))
}

/// Whether something is mounted on a name in a directory.
pub(super) fn is_mount_point(directory: &OwnedFd, name: &CStr) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(directory, name, flags, Mode::empty(), ResolveFlags::NO_XDEV) {
        // Without openat2 a mount is detected only if it is of another filesystem.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            let there = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
            matches!((fstat(directory), there), (Ok(above), Ok(there)) if above.st_dev != there.st_dev)
        }
        opened => opened.is_err_and(|errno| errno == Errno::XDEV),
    }
}

/// Bind-mounts a node that cannot be created. `tree` must be that device: otherwise a configuration could get any file
/// of the host by its path.
#[cold]
#[inline(never)]
pub(super) fn bind(tree: OwnedFd, root: &Root, target: OwnedFd, device: &Device<'_>) -> Result<()> {
    let stat = fstat(&tree).on(format_args!("device {}: fstat", Show(device.path)))?;
    if !is(&stat, device) {
        return Err(differs(device, "the file on the host"));
    }
    // Only the device itself is needed. A copy of a shared mount is in its peer group: what a process of the container, with
    // CAP_SYS_ADMIN in its user namespace, mounts over the device would be mounted on the host, too.
    let set = (sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NOEXEC).into();
    let change = SetAttr { set, propagation: sys::MS_PRIVATE.into(), ..SetAttr::default() };
    root.change_and_attach(tree, change, target)
}

/// Creates a symbolic link in /dev. A file of the image with that name, such as a link with another target, is
/// replaced, but not a directory, nor the mount point of an entry of `mounts` (EBUSY).
pub(super) fn link(dev: &OwnedFd, target: &CStr, name: &CStr) -> Result<()> {
    if make_link(dev, name, target).on(format_args!("symlinkat /dev/{}", Show(name)))? {
        return Ok(());
    }
    match unlinkat(dev, name, AtFlags::empty()) {
        Err(Errno::BUSY | Errno::ISDIR) => return Ok(()),
        removed => removed.on(format_args!("unlinkat /dev/{}", Show(name)))?,
    }
    symlinkat(target, dev, name).on(format_args!("symlinkat /dev/{}", Show(name)))
}
