//! The working directory (fchdir(2), getcwd(2)).

use core::ffi::CStr;

use rustix::io::Errno;
use rustix::process::fchdir;

use crate::error::{At, Error, On, Result, Show};
use crate::rootfs::path::{Make, Root};

/// Changes to the directory `cwd` in `root`, which with `make` is created if it does not exist, and checks that it is
/// inside the root.
///
/// It is tried first as root, before the IDs change: the path may contain directories that only root can search.
/// `false` if root is denied access (root_squash, FUSE): the user may have it, so [`apply_as_user`] must be called
/// later.
pub fn apply(root: &Root, cwd: &CStr, make: bool) -> Result<bool> {
    match enter(root, cwd) {
        Err(error) if make && error.is(Errno::NOENT) => {
            root.release(root.make(cwd, Make::Directory).at(format_args!("process.cwd"))?);
            enter(root, cwd).map(|()| true)
        }
        Err(error) if error.is(Errno::ACCESS) => Ok(false),
        other => other.map(|()| true),
    }
}

/// The second attempt of [`apply`], with the IDs of the container's user.
pub fn apply_as_user(root: &Root, cwd: &CStr) -> Result<()> {
    enter(root, cwd)
}

/// Opens the directory below the root without following magic links of procfs, and changes to it. chdir(2) would follow
/// such a link to any file that a process has open, also beneath mounts and masks (CVE-2024-21626).
fn enter(root: &Root, cwd: &CStr) -> Result<()> {
    let directory = root.open(cwd).and_then(|directory| fchdir(&directory).map(|()| directory));
    root.release(directory.on(format_args!("process.cwd: chdir {}", Show(cwd)))?);
    inside(cwd)
}

/// Checks with getcwd(2) that the working directory is inside the root.
fn inside(cwd: &CStr) -> Result<()> {
    // Room for PATH_MAX on the stack: this runs in the child, which does not allocate.
    let mut space = [0u8; 4096];
    let at = crate::sys::cwd::getcwd(&mut space).on(format_args!("process.cwd: getcwd"))?;
    match at.first() {
        Some(b'/') => Ok(()),
        _ => {
            Err(Error::invalid(format_args!("process.cwd: {} is outside of the container's root", Show(cwd))))
        }
    }
}
