//! The mounts of a container that CRIU cannot dump, because their filesystems are not the container's own: bind mounts of
//! files and directories of the host, devices, cgroups. CRIU records them as external mounts (criu(8), `--external`,
//! `mnt[MOUNTPOINT]:NAME`), and mounts a path that it is given for the name when it restores the container.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags, major, openat, statat, statx,
};
use rustix::io::read;

use super::mount_options::MountOptions;
use super::mountinfo::{self, mount_id};
use super::path::Root;
use super::path_text::is_root;
use crate::config::Mount;
use crate::error::{On, Result};

/// A mount of the container.
struct Line {
    id: u64,
    parent: u64,
    device: Vec<u8>,
    root: Vec<u8>,
    path: CString,
    is_external: bool,
}

/// The mount points of external mounts. `root` is the root of the container init, and `file` its mountinfo.
///
/// They are the bind mounts in `mounts` of the configuration with the mounts below them, unless these are of `mounts` too;
/// and mounts of a part of a filesystem, unless all of it is mounted in the container.
pub fn find(root: &Root, file: &OwnedFd, mounts: &[Mount<'_>]) -> Result<Vec<CString>> {
    let mut lines = Vec::new();
    mountinfo::each(file, &mut |mount| {
        lines.push(Line {
            id: mount.id,
            parent: mount.parent,
            device: mount.device.into(),
            root: mount.root.into(),
            path: mount.path.into(),
            is_external: false,
        });
        Ok(())
    })?;
    mark_binds(&mut lines, &configured(root, mounts)?);
    let internal: Vec<bool> =
        lines.iter().map(|line| line.is_external || is_internal(line, &lines)).collect();
    lines.iter_mut().zip(internal).for_each(|(line, internal)| line.is_external |= !internal);
    let external = lines.into_iter().filter(|line| line.is_external);
    Ok(external.map(|line| line.path).collect())
}

/// The name of a file descriptor of the container init whose file is on none of the container's mounts, as an external file
/// (criu(8), `file[MOUNT_ID:INODE]`); `None` if it is on one, and for a file without a path. `process` is the directory of
/// the container init in procfs, and `mountinfo` its mountinfo.
pub fn file(process: &OwnedFd, number: i32, mountinfo: &OwnedFd) -> Result<Option<String>> {
    let path = format!("fdinfo/{number}");
    let info = openat(process, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut space = [0u8; 1024];
    let count = info.and_then(|info| read(&info, &mut space)).on(format_args!("read /proc/PID/{path}"))?;
    let Some(mount) = mountinfo::parse_mount_id(space.get(..count).unwrap_or_default()) else {
        return Ok(None);
    };
    let mut is_inside = false;
    mountinfo::each(mountinfo, &mut |line| {
        is_inside |= line.id == mount;
        Ok(())
    })?;
    let found = statat(process, format!("fd/{number}"), AtFlags::empty());
    let found = found.on(format_args!("newfstatat /proc/PID/fd/{number}"))?;
    let is_outside = !is_inside && !is_terminal(&found);
    Ok(is_outside.then(|| format!("file[{mount:x}:{:x}]", found.st_ino)))
}

/// Whether a file is a terminal, which CRIU dumps by itself (`--shell-job`): a pty slave, or /dev/tty, by the numbers of
/// Documentation/admin-guide/devices.txt.
fn is_terminal(file: &Stat) -> bool {
    let is_character_device = FileType::from_raw_mode(file.st_mode) == FileType::CharacterDevice;
    is_character_device && matches!(major(file.st_rdev), 4 | 5 | 136..=143)
}

/// The mount IDs at the destinations of `mounts`, and whether each is a bind mount.
fn configured(root: &Root, mounts: &[Mount<'_>]) -> Result<Vec<(u64, bool)>> {
    let mut found = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let (options, _) = MountOptions::read(mount)?;
        let binds = options.bind.is_some() || mount.kind == Some(c"bind");
        // The container may have unmounted it. A link that was copied (`copy-symlink`) is no mount.
        let Ok(file) = root.open(mount.destination) else { continue };
        if !options.remount && is_mount_point(&file) {
            found.push((mount_id(file.as_fd())?, binds));
        }
    }
    Ok(found)
}

/// Whether a file is the root of a mount. `true` also before linux 5.8, which does not report it.
fn is_mount_point(file: &OwnedFd) -> bool {
    let Ok(found) = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO) else { return true };
    !found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        || found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// Marks bind mounts, and the mounts below them. In mountinfo a mount comes after its parent.
fn mark_binds(lines: &mut [Line], configured: &[(u64, bool)]) {
    let mut marked = Vec::new();
    for line in lines.iter_mut().filter(|line| !is_root(&line.path)) {
        line.is_external = match configured.iter().rev().find(|(id, _)| *id == line.id) {
            Some((_, binds)) => *binds,
            None => marked.contains(&line.parent),
        };
        if line.is_external {
            marked.push(line.id);
        }
    }
}

/// Whether CRIU can mount it: a whole filesystem, or a part of one that is mounted as a whole, or of the container's root.
fn is_internal(line: &Line, lines: &[Line]) -> bool {
    let is_of = |other: &&Line| match other.root.as_slice() {
        b"/" => true,
        whole => is_root(&other.path) && line.root.starts_with(whole),
    };
    let others = lines.iter().filter(|other| !other.is_external && other.device == line.device);
    line.root == b"/" || is_root(&line.path) || others.filter(is_of).count() > 0
}

/// The external mounts of a container that is restored, as options of CRIU: each mount below the path `tree`, where all
/// mounts of its configuration are made, is the source for the mount point with the same path in the container. Calls
/// `visit` with the parts of each option. No memory is allocated.
pub fn sources(tree: &CStr, visit: &mut dyn FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
    mountinfo::each(&mountinfo::mountinfo()?, &mut |mount| match mount
        .path
        .to_bytes()
        .strip_prefix(tree.to_bytes())
    {
        Some(inside @ [b'/', ..]) => visit(&[b"mnt[", inside, b"]:", mount.path.to_bytes()]),
        _ => Ok(()),
    })
}
