//! The working directory (fchdir(2), getcwd(2)).

use core::ffi::CStr;

use rustix::io::Errno;
use rustix::process::fchdir;

use crate::error::{At, Error, On, Result, Show};
use crate::rootfs::path::{Make, Root};

/// Changes to `cwd` in `root`, with `make` made when it is missing, and checks where that is. Tried first as root,
/// before ids change: the user may use a directory below ones that only root can pass. `false`: root is
/// not let in (root_squash, FUSE), the user may be, so it is to be tried again with [`apply_as_user`].
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

/// The second try, with the container's ids.
pub fn apply_as_user(root: &Root, cwd: &CStr) -> Result<()> {
    enter(root, cwd)
}

/// Through the root, and not through a link of procfs: chdir(2) would follow one to whatever a process has
/// open, beneath what is mounted or masked above it (CVE-2024-21626).
fn enter(root: &Root, cwd: &CStr) -> Result<()> {
    let directory = root.open(cwd).and_then(|directory| fchdir(&directory).map(|()| directory));
    root.release(directory.on(format_args!("process.cwd: chdir {}", Show(cwd)))?);
    inside(cwd)
}

/// A directory that lies outside of the root all the same: getcwd(2) tells.
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
