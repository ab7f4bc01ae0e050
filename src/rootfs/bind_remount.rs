//! Flags of attached mounts on kernels without mount_setattr(2), which are older than linux 5.12: mount(2) with
//! MS_REMOUNT|MS_BIND changes one mount and replaces all its flags, so that the present ones are read before, and each
//! mount of a tree is changed by itself.
//!
//! mount(2) takes a path. It is the link of procfs to an open file, which leads to the mount of that file whatever
//! happens to names meanwhile. The mounts of a tree are looked up by the paths in mountinfo, and compared by their mount
//! IDs. One that cannot be found, because another mount or a renamed directory hides it, is an error.

use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change, mount_remount};
use rustix::path::DecInt;

use super::explain;
use super::mountinfo::{Mount, each, mount_id, mountinfo};
use super::path_text::{PATH_MAX, join};
use crate::error::{At, Error, On, Result, Show};
use crate::os::procfs;
use crate::sys::mount::SetAttr;

/// The largest number of mounts in a tree: the child cannot allocate memory for more.
const MOST: usize = 512;

/// Changes an attached mount, or its tree, like mount_setattr(2); /proc must be a procfs in which this process is
/// visible. Not all at once: if there is an error, some mounts may have been changed.
///
/// Errors: EINVAL if the mount is not attached in this mount namespace.
#[cold]
#[inline(never)]
pub fn change(tree: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    if change.set != 0 || change.clear != 0 {
        remount(tree, change)?;
        if change.recursive {
            each_below(tree, &mut |mount| remount(mount, change))?;
        }
    }
    if change.propagation == 0 {
        return Ok(());
    }
    let kind = MountPropagationFlags::from_bits_retain(change.propagation as u32);
    let all = if change.recursive { MountPropagationFlags::REC } else { MountPropagationFlags::empty() };
    at_link(tree, |path| mount_change(path, kind | all)).on(format_args!("mount {change}"))
}

fn remount(mount: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    let present = fstatfs(mount).on(format_args!("fstatfs"))?.f_flags as u64;
    let flags = mount_flags((present_attributes(present) & !change.clear) | change.set);
    at_link(mount, |path| mount_remount(path, MountFlags::BIND | flags, c""))
        .map_err(|errno| explain::change(errno, "mount MS_REMOUNT|MS_BIND", mount, change))
}

/// Calls a function with the link of procfs to a file.
fn at_link(
    file: BorrowedFd<'_>,
    act: impl FnOnce(&CStr) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    // Otherwise the path could lead to a file of an image.
    procfs::check_path().map_err(|error| Errno::from_raw_os_error(error.errno().into()))?;
    let mut space = [0u8; PATH_MAX];
    act(join(&mut space, &[b"/proc/self/fd/", DecInt::new(file.as_raw_fd()).as_bytes()])?)
}

/// The flags of statfs(2), `ST_*`, as `MOUNT_ATTR_*`. The first four have the same values.
fn present_attributes(flags: u64) -> u64 {
    /// `ST_*` of include/linux/statfs.h.
    const OTHERS: [(u64, u32); 3] = [
        (0x400, sys::MOUNT_ATTR_NOATIME),
        (0x800, sys::MOUNT_ATTR_NODIRATIME),
        (0x2000, sys::MOUNT_ATTR_NOSYMFOLLOW),
    ];
    // Neither ST_NOATIME nor ST_RELATIME.
    let strict = if flags & 0x1400 == 0 { sys::MOUNT_ATTR_STRICTATIME } else { 0 };
    let others = OTHERS.iter().filter(|(flag, _)| flags & flag != 0);
    others.fold(flags & 0xf | u64::from(strict), |all, (_, attribute)| all | u64::from(*attribute))
}

/// The flags of mount(2), `MS_*`, for `MOUNT_ATTR_*`. The first four have the same values.
fn mount_flags(attributes: u64) -> MountFlags {
    let has = |attribute: u32| attributes & u64::from(attribute) != 0;
    let atime = match () {
        () if has(sys::MOUNT_ATTR_NOATIME) => MountFlags::NOATIME,
        () if has(sys::MOUNT_ATTR_STRICTATIME) => MountFlags::STRICTATIME,
        () => MountFlags::RELATIME,
    };
    let others = [
        (sys::MOUNT_ATTR_NODIRATIME, sys::MS_NODIRATIME),
        (sys::MOUNT_ATTR_NOSYMFOLLOW, 0x100), // MS_NOSYMFOLLOW, linux 5.10
    ];
    let others = others.iter().filter(|(attribute, _)| has(*attribute)).fold(0, |all, (_, flag)| all | flag);
    MountFlags::from_bits_retain(attributes as u32 & 0xf | others) | atime
}

/// Calls a function for each mount below an attached one, parents first.
fn each_below(top: BorrowedFd<'_>, visit: &mut dyn FnMut(BorrowedFd<'_>) -> Result<()>) -> Result<()> {
    let (mut ids, mut count, mut above) = ([0u64; MOST], 1, None);
    let (file, id) = (mountinfo()?, mount_id(top)?);
    ids[0] = id;
    each(&file, &mut |mount| {
        if mount.id == id {
            // The path of the root has no name.
            above = Some(if mount.path == c"/" { 0 } else { mount.path.count_bytes() });
        }
        Ok(())
    })?;
    // Only mounts below this process's root directory are listed, which may be that of a chroot.
    let above = above.ok_or(Errno::BUSY).on(format_args!("mountinfo: mount {id} is not listed"))?;
    // A mount may be listed before its parent: read until no mount is new.
    let mut known = 0;
    while known < count {
        known = count;
        each(&file, &mut |mount| {
            let is_known = |id| ids.iter().take(count).any(|known| *known == id);
            if is_known(mount.id) || !is_known(mount.parent) {
                return Ok(());
            }
            let place = ids.get_mut(count).ok_or(Errno::NOMEM).on(format_args!("{MOST} mounts below"))?;
            *place = mount.id;
            count += 1;
            below(top, &mount, above, visit).at(format_args!("{}", Show(mount.path)))
        })?;
    }
    Ok(())
}

/// Opens a mount whose path is longer than that of the mount `top` by the bytes from `above` on.
fn below(
    top: BorrowedFd<'_>,
    mount: &Mount<'_>,
    above: usize,
    visit: &mut dyn FnMut(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    let rest = mount.path.to_bytes().get(above..).unwrap_or_default();
    let mut space = [0u8; PATH_MAX];
    let path = join(&mut space, &[b".", rest]).on(format_args!("openat"))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(top, path, flags, Mode::empty()).on(format_args!("openat"))?;
    match mount_id(file.as_fd())? == mount.id {
        true => visit(file.as_fd()),
        false => Err(Error::system(Errno::BUSY, format_args!("the mount is hidden by another"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_kept() {
        let attributes = |text: u64| present_attributes(text);
        assert_eq!(attributes(0x1000), 0);
        assert_eq!(attributes(0x1000 | 0x20 | 0xf), 0xf);
        assert_eq!(attributes(0), u64::from(sys::MOUNT_ATTR_STRICTATIME));
        assert_eq!(attributes(0x2c00), 0x20_0090);
        assert_eq!(mount_flags(0), MountFlags::RELATIME);
        assert_eq!(mount_flags(0x9f), MountFlags::NOATIME | MountFlags::from_bits_retain(0x80f));
        assert_eq!(mount_flags(0x20_0020), MountFlags::STRICTATIME | MountFlags::from_bits_retain(0x100));
    }
}
