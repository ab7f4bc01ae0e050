//! Bind sources inside the container's own root. Earlier entries of `mounts` may have changed what is at such a path,
//! so it is opened right before its own mount is made (config.md, "Mounts": "in the listed order").
//!
//! All other sources are opened on the host before any mount is made. These include directories above the root, such as
//! the host's `/`: a recursive bind mount of it contains the mounts of the host and none of the container's.

use alloc::ffi::CString;
use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::AsRawFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2, readlinkat_raw};
use rustix::io::Errno;

use super::path_text::PATH_MAX;
use crate::os::procfs;

/// The path of the container's root on the host, without symbolic links, `.` and `..`.
pub struct HostRoot(Vec<u8>);

impl HostRoot {
    /// Resolves the path. `None` if the directory does not exist (opening it later fails with the right error), or if
    /// it is the host's own root, which contains every source.
    pub fn new(path: &CStr) -> Option<Self> {
        canonical(path.to_bytes()).filter(|path| !path.is_empty()).map(HostRoot)
    }

    /// The path of a source relative to the container's root, if it is inside. `follow`: whether a symbolic link at its
    /// last name is followed.
    pub fn within(&self, source: &CStr, follow: bool) -> Option<CString> {
        let source = source.to_bytes();
        let path = match source.iter().rposition(|byte| *byte == b'/').filter(|_| !follow) {
            Some(slash) => [&*canonical(source.get(..slash)?)?, source.get(slash..)?].concat(),
            None => canonical(source)?,
        };
        let inside = path.strip_prefix(&*self.0)?;
        match inside.first() {
            None => Some(c"/".into()),
            Some(b'/') => CString::new(inside).ok(),
            Some(_) => None,
        }
    }
}

/// An absolute path with all links resolved: the part that exists, followed by the names that are missing. The root is
/// the empty path. `None` if it cannot be resolved; opening the source later fails with the right error.
fn canonical(path: &[u8]) -> Option<Vec<u8>> {
    // Most paths contain no links; then this single call is enough.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(_) => Some(plain(path)),
        Err(_) => resolved(path),
    }
}

#[cold]
#[inline(never)]
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let mut end = path.len();
    loop {
        let (there, missing) = path.split_at_checked(end)?;
        match open(if there.is_empty() { b"/" } else { there }, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        {
            Ok(fd) => {
                let link = format!("self/fd/{}", fd.as_raw_fd());
                let mut space = [MaybeUninit::<u8>::uninit(); PATH_MAX];
                let (found, _) = readlinkat_raw(procfs::open().ok()?, link, &mut space[..]).ok()?;
                return Some(plain(&[&*found, b"/", missing].concat()));
            }
            Err(Errno::NOENT) if end > 0 => end = there.iter().rposition(|byte| *byte == b'/')?,
            Err(_) => return None,
        }
    }
}

/// A path without empty names, `.` and `..`. It leads to the same file if no name is a symbolic link.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => plain.truncate(plain.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            name => {
                plain.push(b'/');
                plain.extend_from_slice(name);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn empty_names_and_dots_are_removed() {
        for (path, want) in
            [("/", ""), ("//a/./b/", "/a/b"), ("/a/b/../c", "/a/c"), ("/../..", ""), ("/a/../../b", "/b")]
        {
            assert_eq!(plain(path.as_bytes()), want.as_bytes(), "{path}");
        }
    }

    #[test]
    fn paths_inside_the_root() {
        let top = std::env::temp_dir().join(format!("mote-order-{}", std::process::id()));
        fs::create_dir_all(top.join("rootfs/dir")).unwrap();
        fs::create_dir_all(top.join("rootfs2")).unwrap();
        symlink("rootfs", top.join("link")).unwrap();
        symlink("dir", top.join("rootfs/last")).unwrap();
        symlink("rootfs/dir", top.join("into")).unwrap();
        let path = |name: &str| CString::new(format!("{}/{name}", top.display())).unwrap();
        let roots = ["rootfs", "rootfs/", "link", "rootfs2/../link/."].map(|name| HostRoot::new(&path(name)));
        for root in roots.map(Option::unwrap) {
            for (source, follow, inside) in [
                ("rootfs", true, Some("/")),
                ("link/", true, Some("/")),
                ("rootfs/dir", true, Some("/dir")),
                ("link/dir/none/below", true, Some("/dir/none/below")),
                ("into/none", true, Some("/dir/none")),
                ("rootfs/last", true, Some("/dir")),
                ("rootfs/last", false, Some("/last")),
                ("rootfs/last/x", false, Some("/dir/x")),
                ("into", false, None),
                ("rootfs2", true, None),
                ("rootfs2/dir", true, None),
                ("rootfs/../rootfs2", true, None),
                (".", true, None),
                ("none/at/all", true, None),
            ] {
                let inside = inside.map(|inside| CString::new(inside).unwrap());
                assert_eq!(root.within(&path(source), follow), inside, "{source}");
            }
        }
        assert!(HostRoot::new(c"/").is_none());
        fs::remove_dir_all(&top).unwrap();
    }
}
