//! The working directory (chdir(2), getcwd(2)).

use core::ffi::CStr;

use rustix::io::Errno;
use rustix::process::chdir;

use crate::error::{Error, On, Result, Show};
use crate::rootfs::path::{Make, Root};

/// Changes to `cwd`, which is made when it is missing, and checks where that is. Tried first as root,
/// before ids change: the user may use a directory below ones that only root can pass. `false`: root is
/// not let in (root_squash, FUSE), the user may be, so it is to be tried again with [`apply_as_user`].
pub fn apply(root: &Root, cwd: &CStr) -> Result<bool> {
    let changed = match chdir(cwd) {
        Err(Errno::NOENT) => {
            root.make(cwd, Make::Directory)?;
            chdir(cwd)
        }
        other => other,
    };
    match changed {
        Err(Errno::ACCESS) => Ok(false),
        other => other
            .on(format_args!("process.cwd: chdir {}", Show(cwd)))
            .and_then(|()| inside(cwd))
            .map(|()| true),
    }
}

/// The second try, with the container's ids.
pub fn apply_as_user(cwd: &CStr) -> Result<()> {
    chdir(cwd).on(format_args!("process.cwd: chdir {}", Show(cwd)))?;
    inside(cwd)
}

/// A directory reached through a descriptor or a mount of the host would lie outside of the root, and
/// getcwd(2) tells (CVE-2024-21626).
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
