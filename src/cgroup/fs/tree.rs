//! Traversal of a cgroup and all below it by file descriptors: a container may have nested them thousands deep, which
//! is too long for a path and too deep for recursion.

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;

use super::path::FullPath;
use crate::error::{On, Result};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Visits the cgroup at `path` below `root` and all below it, children first: `visit` is called with the directory of
/// each, then `leave` with its parent's directory and its name, except for the cgroup at `path` itself. Cgroups that
/// have been removed are skipped.
pub fn walk(
    root: &OwnedFd,
    path: &str,
    visit: &mut dyn FnMut(&OwnedFd) -> Result<()>,
    leave: &mut dyn FnMut(&OwnedFd, &CStr) -> Result<()>,
) -> Result<()> {
    let mut directory = match openat(root, path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.on(format_args!("openat {}", FullPath(path)))?,
    };
    // The names of the current path below `path`, and for each level those not visited yet.
    let mut names: Vec<CString> = Vec::new();
    let mut left = vec![below(&directory)?];
    while let Some(level) = left.last_mut() {
        if let Some(name) = level.pop() {
            if let Ok(next) = openat(&directory, name.as_c_str(), DIRECTORY, Mode::empty()) {
                left.push(below(&next)?);
                names.push(name);
                directory = next;
            }
            continue;
        }
        visit(&directory)?;
        left.pop();
        if let Some(name) = names.pop() {
            directory = openat(&directory, c"..", DIRECTORY, Mode::empty()).on(format_args!("openat .."))?;
            leave(&directory, &name)?;
        }
    }
    Ok(())
}

/// The names of the cgroups directly below.
fn below(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut list = Vec::new();
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(directory, &mut space);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            list.push(name.into());
        }
    }
    Ok(list)
}
