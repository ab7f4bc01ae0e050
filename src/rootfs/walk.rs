//! Resolution of a path inside the root without openat2(2): before linux 5.6, and under seccomp filters that deny it.
//! The semantics of RESOLVE_IN_ROOT are implemented name by name (path_resolution(7)).
//!
//! Each system call gets a single name, never `..`, and does not follow links: a name is opened with O_NOFOLLOW in its
//! directory, so each step leads down from the root, even if directories are renamed at the same time. `..` and links
//! are resolved in the text of the path, in which the part before the current position consists of plain directory
//! names. After a `..` that part is walked again from the root, because the parent of a directory that was moved is no
//! longer the one through which it was reached.

use core::ffi::CStr;
use core::mem::{MaybeUninit, swap};

use linux_raw_sys::general::PROC_SUPER_MAGIC;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat_raw};
use rustix::io::{Errno, Result as Raw, fcntl_dupfd_cloexec};

use super::path_text::{Found, PATH_MAX, first_name, join, skip_slashes, text, through_link};

const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// `NAME_MAX` of include/uapi/linux/limits.h. rustix would copy a longer name to allocated memory.
const NAME_MAX: usize = 255;

/// `ST_NOSYMFOLLOW` of include/linux/statfs.h: the mount option of that name.
const NOSYMFOLLOW: u64 = 0x2000;

/// Opens `path` below `root` with O_PATH, following at most `links` symbolic links. Errors are those of openat2(2).
#[cold]
#[inline(never)]
pub fn walk(root: BorrowedFd<'_>, path: &CStr, mut links: usize) -> Raw<OwnedFd> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let mut space = [[0u8; PATH_MAX]; 2];
    let [current, next] = &mut space;
    join(current, &[path.to_bytes()])?;
    let mut at = skip_slashes(path.to_bytes(), 0);
    // The directory of the names before `at`; `None` if they have to be walked again.
    let mut here: Option<OwnedFd> = None;
    loop {
        let path = text(current).to_bytes();
        let (name, after) = first_name(path, at);
        let end = at + name.len();
        if matches!(name, b"." | b"..") {
            if name == b".." {
                (at, here) = (last_name(path, at), None);
            }
            join(next, &[path.get(..at).unwrap_or_default(), path.get(after..).unwrap_or_default()])?;
            swap(current, next);
            continue;
        }
        let directory = match here.take() {
            Some(here) => here,
            None => descend(root, path.get(..at).unwrap_or_default())?,
        };
        if name.is_empty() {
            return Ok(directory);
        }
        match step(&directory, name, end < path.len())? {
            Found::Here(fd) if end == path.len() => return Ok(fd),
            Found::Here(fd) => (at, here) = (after, Some(fd)),
            Found::Link(link) => {
                links = links.checked_sub(1).ok_or(Errno::LOOP)?;
                let mut target = [MaybeUninit::<u8>::uninit(); PATH_MAX];
                let (target, _) = readlinkat_raw(&link, c"", &mut target[..])?;
                may_be_followed(&link, target)?;
                let absolute = target.first() == Some(&b'/');
                through_link(path, at, target, next)?;
                swap(current, next);
                match absolute {
                    true => at = skip_slashes(text(current).to_bytes(), 0),
                    false => here = Some(directory),
                }
            }
        }
    }
}

/// Opens one name in a directory. `more`: a slash follows the name, so it must be a directory or a link.
fn step(directory: &OwnedFd, name: &[u8], more: bool) -> Raw<Found> {
    if name.len() > NAME_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    if more {
        match openat(directory, name, STEP | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOTDIR) => {}
            found => return found.map(Found::Here),
        }
    }
    let fd = openat(directory, name, STEP, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
        FileType::Symlink => Ok(Found::Link(fd)),
        FileType::Directory => Ok(Found::Here(fd)),
        _ if more => Err(Errno::NOTDIR),
        _ => Ok(Found::Here(fd)),
    }
}

/// Opens the directory at a path of plain names. Errors: a name is no longer a directory, or is a link now.
fn descend(root: BorrowedFd<'_>, names: &[u8]) -> Raw<OwnedFd> {
    let mut here = fcntl_dupfd_cloexec(root, 0)?;
    for name in names.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        here = openat(here.as_fd(), name, STEP | OFlags::DIRECTORY, Mode::empty())?;
    }
    Ok(here)
}

/// The position of the last name before `at`; 0 if there is none: the parent of the root is the root.
fn last_name(path: &[u8], at: usize) -> usize {
    let names = path.get(..at).unwrap_or_default();
    let last = names.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
    names.iter().take(last).rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
}

/// Fails with ELOOP if a link must not be followed: on a mount with `nosymfollow`, and for magic links of procfs, which
/// refer to a program, file descriptor, root or namespace. Their text is an absolute path or such as `net:[1]`; the
/// ordinary links `self`, `net` and `mounts` are relative. Following the text would be harmless, but the kernel fails
/// for magic links with RESOLVE_NO_MAGICLINKS.
fn may_be_followed(link: &OwnedFd, target: &[u8]) -> Raw<()> {
    let filesystem = fstatfs(link)?;
    let magic = filesystem.f_type as u64 == u64::from(PROC_SUPER_MAGIC)
        && (target.starts_with(b"/") || target.contains(&b':'));
    match magic || filesystem.f_flags as u64 & NOSYMFOLLOW != 0 {
        true => Err(Errno::LOOP),
        false => Ok(()),
    }
}

/// Results are compared with those of openat2(2), if the kernel has it: the same file, or the same error.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::path_text::MAX_LINKS;
    use rustix::fs::{ResolveFlags, open, openat2};
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::string::String;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::vec::Vec;
    use std::{format, thread};

    /// A directory that is removed at the end of a test.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mote-walk-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("root")).unwrap();
            TempDir(path)
        }

        fn root(&self) -> PathBuf {
            self.0.join("root")
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    type Answer = Result<(u64, u64), Errno>;

    fn answer(found: Raw<OwnedFd>) -> Answer {
        found.map(|fd| fstat(&fd).unwrap()).map(|stat| (stat.st_dev, stat.st_ino))
    }

    fn directory(path: &Path) -> OwnedFd {
        open(path.to_str().unwrap(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    /// The results of the walk and of the kernel, with or without links; `None` if the kernel has no openat2.
    fn both(root: &OwnedFd, path: &str, links: bool) -> Option<(Answer, Answer)> {
        let more = if links { ResolveFlags::empty() } else { ResolveFlags::NO_SYMLINKS };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
        let path = CString::new(path).unwrap();
        let kernel = loop {
            match openat2(root, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => return None,
                other => break other,
            }
        };
        let own = walk(root.as_fd(), &path, if links { MAX_LINKS } else { 0 });
        Some((answer(own), answer(kernel)))
    }

    fn agree<'p>(root: &Path, paths: impl IntoIterator<Item = &'p str>) {
        let root = directory(root);
        for path in paths {
            for links in [true, false] {
                if let Some((own, kernel)) = both(&root, path, links) {
                    assert_eq!(own, kernel, "{path:?}, links: {links}");
                }
            }
        }
    }

    #[test]
    fn a_hostile_tree() {
        let place = TempDir::new("hostile");
        let root = place.root();
        fs::write(place.0.join("secret"), "").unwrap();
        fs::create_dir_all(root.join("dir/sub/deep")).unwrap();
        fs::write(root.join("dir/file"), "").unwrap();
        let up = "../".repeat(30);
        let links = [
            ("relative", "dir/sub"),
            ("absolute", "/dir/sub"),
            ("slashed", "//dir//sub//"),
            ("to-file", "dir/file"),
            ("to-root", "/"),
            ("to-here", "."),
            ("to-up", ".."),
            ("dir/up", "../dir/./sub/.."),
            ("dir/sub/down", "deep/../../file"),
            ("dangling", "dir/none/below"),
            ("climbs", &format!("{up}secret")),
            ("climbs-in", &format!("{up}dir/file")),
            ("outside", &format!("{}/secret", place.0.display())),
            ("self", "self"),
            ("one", "two"),
            ("two", "/one"),
            ("c0", "dir"),
        ];
        for (name, target) in links {
            symlink(target, root.join(name)).unwrap();
        }
        for index in 1..45 {
            symlink(format!("c{}", index - 1), root.join(format!("c{index}"))).unwrap();
        }
        let names: Vec<&str> = links.iter().map(|(name, _)| *name).collect();
        let ends = ["", "/", "//", "/.", "/..", "/../..", "/sub", "/file", "/file/", "/none", "/none/.."];
        let paths = names.iter().flat_map(|name| ends.iter().map(move |end| format!("{name}{end}")));
        let paths: Vec<String> = paths.flat_map(|path| [format!("/{path}"), path]).collect();
        agree(&root, paths.iter().map(String::as_str));
        let long = ["a".repeat(255), "a".repeat(256), format!("dir/{}/x", "a".repeat(300))];
        agree(&root, long.iter().map(String::as_str));
        agree(&root, ["", "/", ".", "..", "/..", "../../dir", "./dir/.", "dir/file/.", "dir/file/.."]);
        agree(&root, ["c38", "c39", "c40", "c40/file", "c44", "/../../../secret", "dir/../../secret"]);
    }

    /// `self` and `mounts` are ordinary links; magic links are not followed.
    #[test]
    fn links_of_procfs() {
        let names = ["exe", "cwd", "root", "fd/0", "ns/pid", "ns/net", "status", "none"];
        let ends = ["", "/", "/..", "/etc"];
        let paths = names.iter().flat_map(|name| ends.map(|end| format!("proc/self/{name}{end}")));
        let paths: Vec<String> = paths.collect();
        agree(Path::new("/"), paths.iter().map(String::as_str));
        agree(Path::new("/"), ["proc/self", "proc/thread-self/comm", "proc/mounts", "proc/net/dev"]);
    }

    /// Random trees and paths, from a constant seed.
    #[test]
    fn random_paths() {
        const PARTS: [&str; 14] = ["a", "b", "a", "b", "c", "l", "m", "l", "m", "f", "x", ".", "..", ".."];
        let place = TempDir::new("random");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % limit
        };
        let mut path = |longest: usize| {
            let mut text = String::from(if below(3) == 0 { "/" } else { "" });
            for _ in 0..=below(longest) {
                text.push_str(PARTS[below(PARTS.len())]);
                text.push_str(if below(12) == 0 { "//" } else { "/" });
            }
            if below(3) > 0 {
                text.pop();
            }
            text
        };
        let places = ["", "a", "b", "a/a", "a/b", "b/c", "a/b/c", "a/b/c/b", "b/c/a"];
        for name in places {
            let directory = place.root().join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("f"), "").unwrap();
            for link in ["l", "m"] {
                symlink(path(4), directory.join(link)).unwrap();
            }
        }
        let paths: Vec<String> = (0..5_000).map(|_| path(8)).collect();
        agree(&place.root(), paths.iter().map(String::as_str));
    }

    /// A directory is moved out of the root while a path through it is resolved: `..` of the moved one is outside.
    #[test]
    fn directories_that_move() {
        let place = TempDir::new("moving");
        let (root, secret) = (place.root(), place.0.join("secret"));
        fs::write(secret, "").unwrap();
        fs::create_dir_all(root.join("x/y/z")).unwrap();
        fs::create_dir_all(place.0.join("out")).unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (inside, outside) = (root.join("x/y"), place.0.join("out/y"));
                    fs::rename(&inside, &outside).unwrap();
                    fs::rename(&outside, &inside).unwrap();
                }
            });
            let top = directory(&root);
            let found: Vec<_> = (0..5_000)
                .filter_map(|_| walk(top.as_fd(), c"x/y/z/../../../secret", MAX_LINKS).ok())
                .collect();
            over.store(true, Ordering::Relaxed);
            assert!(found.is_empty(), "{} times outside", found.len());
        });
    }
}
