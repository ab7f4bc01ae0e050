//! Detached mount trees (open_tree(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2); linux 5.2): a tree is created
//! or copied detached, changed, and only then attached, so that no process sees an intermediate state.

use core::ffi::CStr;

use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir};

use super::{bind_remount, explain};
use crate::error::{Error, On, Result, Show};
use crate::sys::mount::{SetAttr, mount_setattr};

/// Copies the mount at a path of the current mount namespace. `recursive`: with all mounts below it; `link`: a symbolic
/// link at the last name is not followed.
pub fn copy_path(path: &CStr, recursive: bool, link: bool) -> rustix::io::Result<OwnedFd> {
    let nofollow = if link { OpenTreeFlags::AT_SYMLINK_NOFOLLOW } else { OpenTreeFlags::empty() };
    open_tree(CWD, path, flags(recursive) | nofollow)
}

/// Copies the mount, or the subtree of one, to which a file descriptor refers.
pub fn copy(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let copy = |recursive| open_tree(fd, c"", flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH);
    copy(recursive).map_err(|errno| explain::copy(errno, format_args!("OPEN_TREE_CLONE"), &|| copy(true)))
}

fn flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Copies the mount at a name in a directory.
#[cold]
#[inline(never)]
pub fn copy_at(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    open_tree(directory, name, flags(false)).on(format_args!("open_tree {}", Show(name)))
}

/// Attaches a detached tree at a mount point, given as file descriptor.
pub fn attach(tree: &OwnedFd, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree.as_fd(), c"", target, c"", flags)
        .map_err(|errno| explain::attach(errno, tree.as_fd(), target))
}

/// Attaches a tree at a name in a directory that no other process can access yet.
pub fn attach_at(tree: &OwnedFd, directory: &OwnedFd, name: &CStr) -> Result<()> {
    move_mount(tree.as_fd(), c"", directory.as_fd(), name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .on(format_args!("move_mount"))
}

/// Attaches a tree at a path of this mount namespace; `/` is over its root.
pub fn attach_at_path(tree: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    move_mount(tree, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .on(format_args!("move_mount {}", Show(path)))
}

/// Detaches a tree. Copies of it remain attached.
#[cold]
#[inline(never)]
pub fn detach(tree: &OwnedFd) -> Result<()> {
    fchdir(tree).on(format_args!("fchdir"))?;
    unmount(c".", UnmountFlags::DETACH).on(format_args!("umount2 . MNT_DETACH"))?;
    // Hooks start in the root directory.
    chdir(c"/").on(format_args!("chdir /"))
}

/// Changes flags of an attached mount or tree with mount_setattr(2), if there is anything to change.
pub fn change(tree: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    match change_detached(tree, change) {
        Err(error) if error.is(Errno::NOSYS) => bind_remount::change(tree, change),
        changed => changed,
    }
}

/// [`change`] for a tree that may be detached. Errors: ENOSYS before linux 5.12.
fn change_detached(tree: BorrowedFd<'_>, change: SetAttr) -> Result<()> {
    match change.is_empty() {
        true => Ok(()),
        false => {
            mount_setattr(tree, change).map_err(|errno| explain::change(errno, "mount_setattr", tree, change))
        }
    }
}

/// Changes flags of a detached tree, and attaches it with `attach`. Before linux 5.12, which can change attached mounts
/// only, it is attached first if it is visible to no other process (`hidden`).
pub fn change_and_attach(
    tree: &OwnedFd,
    changes: &[SetAttr],
    hidden: bool,
    attach: impl FnOnce() -> Result<()>,
) -> Result<()> {
    match changes.iter().try_for_each(|one| change_detached(tree.as_fd(), *one)) {
        Err(error) if hidden && error.is(Errno::NOSYS) => {
            attach()?;
            changes.iter().try_for_each(|one| change(tree.as_fd(), *one))
        }
        changed => changed.and_then(|()| attach()),
    }
}

/// The maximum length of a string for fsconfig(2), without NUL.
pub const LONGEST: usize = 255;

/// A parameter of a filesystem: `size=64k` is ("size", "64k"), `newinstance` has no value.
pub type Parameter<'a> = (&'a CStr, Option<&'a CStr>);

/// Creates a filesystem as a detached mount; returns its fsopen(2) context and the mount. `attributes` are
/// `MOUNT_ATTR_*`.
pub fn filesystem<'a>(
    kind: &CStr,
    source: &CStr,
    mut parameters: impl Iterator<Item = Parameter<'a>>,
    attributes: u64,
) -> Result<(OwnedFd, OwnedFd)> {
    let set = |context: &OwnedFd| parameters.try_for_each(|(name, value)| configure(context, name, value));
    filesystem_with(kind, source, set, attributes)
}

/// [`filesystem`] with a function that sets the parameters.
#[inline]
pub fn filesystem_with(
    kind: &CStr,
    source: &CStr,
    set: impl FnOnce(&OwnedFd) -> Result<()>,
    attributes: u64,
) -> Result<(OwnedFd, OwnedFd)> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|errno| explain::filesystem(errno, format_args!("fsopen {}", Show(kind)), kind))?;
    configure(&context, c"source", Some(source))?;
    set(&context)?;
    fsconfig_create(context.as_fd()).map_err(|errno| {
        let what = format_args!("fsconfig {} FSCONFIG_CMD_CREATE", Show(kind));
        explain::context(&context, errno, what, |what| explain::filesystem(errno, what, kind))
    })?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| explain::new_mount(&context, errno, kind))?;
    Ok((context, tree))
}

/// Sets one parameter of a filesystem that is being created or reconfigured.
pub fn configure(context: &OwnedFd, name: &CStr, value: Option<&CStr>) -> Result<()> {
    let set = match value {
        Some(value) => fsconfig_set_string(context.as_fd(), name, value),
        None => fsconfig_set_flag(context.as_fd(), name),
    };
    let equals = if value.is_some() { "=" } else { "" };
    set.map_err(|errno| {
        if name.count_bytes().max(value.map_or(0, CStr::count_bytes)) > LONGEST {
            let name = name.to_str().unwrap_or_default();
            let what = format_args!("fsconfig {name:.100}{equals}...: longer than {LONGEST} bytes");
            return Error::system(errno, what);
        }
        let what = format_args!("fsconfig {}{equals}{}", Show(name), Show(value.unwrap_or_default()));
        explain::context(context, errno, what, |what| Error::system(errno, what))
    })
}

impl SetAttr {
    /// Sets a flag, overriding an earlier request to clear it.
    pub(super) fn add(&mut self, bit: u32) {
        self.set |= u64::from(bit);
        self.clear &= !u64::from(bit);
    }

    /// Clears a flag, overriding an earlier request to set it.
    pub(super) fn remove(&mut self, bit: u32) {
        self.set &= !u64::from(bit);
        self.clear |= u64::from(bit);
    }

    /// Replaces the access time flags. The kernel requires that the whole field is cleared (mount_setattr(2)).
    pub(super) fn atime(&mut self, rule: u32) {
        let field = u64::from(sys::MOUNT_ATTR__ATIME);
        self.set = self.set & !field | u64::from(rule);
        self.clear |= field;
    }
}
