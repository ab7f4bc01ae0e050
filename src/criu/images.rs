//! The directories of CRIU: image files, and the work directory with its log.
//!
//! They are opened here, and CRIU gets their file descriptors. CRIU itself follows symbolic links there, and an image
//! file may come from an archive of a stranger: a link named `pages-1.img` would be read into the memory of the container,
//! and one named `restore.log` overwritten.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, fchmod, fchown, fstat, mkdirat, open, openat, statat,
    unlinkat,
};
use rustix::io::{Errno, pread, write};
use rustix::process::geteuid;

use crate::error::{Error, Kind, On, OneLine, Result, Show};
use crate::os::file;

/// The image directory and the work directory.
pub struct Directories<'a> {
    images: OwnedFd,
    work: Option<(OwnedFd, &'a CStr)>,
    images_path: &'a CStr,
}

/// The link to the directory of the preceding images (criu(8), `--prev-images-dir`), which CRIU creates.
const PARENT: &CStr = c"parent";

/// The socket of `criu lazy-pages`.
const LAZY_PAGES: &CStr = c"lazy-pages.socket";

/// The largest number of image directories that are linked by [`PARENT`]. Each is a pre-dump.
const MOST_PARENTS: usize = 1000;

/// The file with the links of the standard file descriptors, as in runc and crun: an array of three strings.
pub const DESCRIPTORS: &CStr = c"descriptors.json";

/// The size of the end of a log in which errors are searched, in bytes: CRIU gives up after the first.
const END: usize = 64 * 1024;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl<'a> Directories<'a> {
    /// [`Directories::open`] for a dump: the directories are created if they do not exist (mode 0700).
    pub fn create(images_path: &'a CStr, work: Option<&'a CStr>) -> Result<Self> {
        make(images_path)?;
        Directories::open(images_path, work)
    }

    /// Opens the directories for a restore.
    ///
    /// Errors: other users may write there, or an image file is none that CRIU has written.
    pub fn open(images_path: &'a CStr, work: Option<&'a CStr>) -> Result<Self> {
        let images = open_own(images_path)?;
        each_directory(images.as_fd(), images_path, &mut |directory| {
            check_owner(directory, images_path)?;
            check_files(directory, images_path)
        })?;
        Ok(Directories { images, work: open_work(work)?, images_path })
    }

    /// Permits a group to search the image directories, not to list them: CRIU creates the image files readable for all, and
    /// opens some in processes that have only the rights of that group.
    #[cold]
    #[inline(never)]
    pub fn permit(&self, group: u32) -> Result<()> {
        each_directory(self.images.as_fd(), self.images_path, &mut |directory| {
            let stat = fstat(directory).on(format_args!("fstat {}", Show(self.images_path)))?;
            let mode = stat.st_mode & 0o7777;
            if mode & 0o001 != 0 || mode & 0o010 != 0 && stat.st_gid == group {
                return Ok(());
            }
            fchown(directory, None, Some(Gid::from_raw(group)))
                .on(format_args!("fchown {}", Show(self.images_path)))?;
            fchmod(directory, Mode::from_raw_mode(mode & 0o7707 | 0o010))
                .on(format_args!("fchmod {}", Show(self.images_path)))
        })
    }

    /// The image directory.
    pub fn images(&self) -> &OwnedFd {
        &self.images
    }

    /// The work directory, if it is not the image directory.
    pub fn work(&self) -> Option<&OwnedFd> {
        self.work.as_ref().map(|(work, _)| work)
    }

    /// Checks the directory of the preceding images, relative to the image directory.
    pub fn check_parent(&self, parent: &CStr) -> Result<()> {
        let fail = |why: &str| Err(Error::invalid(format_args!("--parent-path {}: {why}", Show(parent))));
        match parent.to_bytes().first() {
            Some(b'/') => fail("must be relative to the image directory"),
            _ => match openat(&self.images, parent, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => fail("no such directory"),
                Err(Errno::NOTDIR) => fail("not a directory"),
                opened => opened.map(drop).on(format_args!("--parent-path: openat {}", Show(parent))),
            },
        }
    }

    /// Replaces a file in the image directory.
    pub fn write(&self, name: &CStr, text: &[u8]) -> Result<()> {
        let _ = unlinkat(&self.images, name, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.images, name, flags, Mode::from_raw_mode(0o600)).on(format_args!(
            "openat {}/{}",
            Show(self.images_path),
            Show(name)
        ))?;
        match write(&file, text).on(format_args!("write {}/{}", Show(self.images_path), Show(name)))? {
            count if count == text.len() => Ok(()),
            _ => Err(Error::system(Errno::NOSPC, format_args!("write {}", Show(name)))),
        }
    }

    /// The content of a file in the image directory; `None` if it does not exist.
    pub fn read(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        match openat(&self.images, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Ok(None),
            file => file
                .on(format_args!("openat {}/{}", Show(self.images_path), Show(name)))
                .and_then(|file| file::read_all(&file, name))
                .map(Some),
        }
    }

    /// Removes the files that CRIU writes to the work directory: they may be of an earlier run, or links.
    pub fn remove_logs(&self, log: &CStr) {
        for name in [log, c"stats-dump", c"stats-restore"] {
            let _ = unlinkat(self.log_directory(), name, AtFlags::empty());
        }
    }

    /// Adds the path of CRIU's log to an error, and the first and the last line there about errors.
    #[cold]
    #[inline(never)]
    pub fn explain(&self, error: Error, name: &CStr) -> Error {
        let (directory, path) = self.log_place();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(log) = openat(directory, name, flags, Mode::empty()) else { return error };
        let size = fstat(&log).map_or(0, |stat| stat.st_size.max(0) as u64);
        let mut end = alloc::vec![0; END];
        let count = pread(&log, &mut end[..], size.saturating_sub(END as u64)).unwrap_or(0);
        let mut error = error;
        error.append(format_args!(" (log: {}/{})", Show(path), Show(name)));
        for line in errors(end.get(..count).unwrap_or_default()).into_iter().flatten() {
            error.append(format_args!("; {}", OneLine(line)));
        }
        error
    }

    /// The directory of the log.
    pub fn log_directory(&self) -> BorrowedFd<'_> {
        self.log_place().0
    }

    fn log_place(&self) -> (BorrowedFd<'_>, &CStr) {
        match &self.work {
            Some((work, path)) => (work.as_fd(), path),
            None => (self.images.as_fd(), self.images_path),
        }
    }
}

/// The first and the last line about an error, `(00.012345) Error (criu/mount.c:660): ...`, without the time. The first is
/// usually the cause.
fn errors(log: &[u8]) -> [Option<&[u8]>; 2] {
    let lines = log.split(|byte| *byte == b'\n');
    let text = |line| <[u8]>::strip_prefix(line, b"(".as_slice()).and_then(after_time);
    // Its helper for cgroups reports that it is ended, too.
    let is_cause = |text: &&[u8]| {
        text.starts_with(b"Error ") && !text.ends_with(b"recv req error: No such file or directory")
    };
    let mut errors = lines.filter_map(text).filter(is_cause);
    let first = errors.next();
    [first, errors.next_back()]
}

fn after_time(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|byte| *byte == b')')?;
    // A process of the container precedes the text of some lines with its PID.
    let text = line.get(end + 1..)?.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(digits..)?.strip_prefix(b": ") {
        Some(text) if digits > 0 => Some(text.trim_ascii_start()),
        _ => Some(text),
    }
}

fn open_work(path: Option<&CStr>) -> Result<Option<(OwnedFd, &CStr)>> {
    let Some(path) = path else { return Ok(None) };
    make(path)?;
    Ok(Some((open_own(path)?, path)))
}

fn make(path: &CStr) -> Result<()> {
    match mkdirat(CWD, path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        made => made.on(format_args!("mkdirat {}", Show(path))),
    }
}

fn open_own(path: &CStr) -> Result<OwnedFd> {
    let directory = open(path, DIRECTORY, Mode::empty()).on(format_args!("openat {}", Show(path)))?;
    check_owner(directory.as_fd(), path).map(|()| directory)
}

/// Checks that a directory belongs to this user or root, and that not everybody may write there.
fn check_owner(directory: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let stat = fstat(directory).on(format_args!("fstat {}", Show(path)))?;
    let fail =
        |why: core::fmt::Arguments<'_>| Err(Error::new(Kind::State, format_args!("{}: {why}", Show(path))));
    match stat.st_uid {
        user if user != 0 && user != geteuid().as_raw() => fail(format_args!("owned by user {user}")),
        _ if stat.st_mode & 0o002 != 0 => fail(format_args!("writable by every user")),
        _ => Ok(()),
    }
}

/// Calls a function for an image directory, and for those of the preceding images.
fn each_directory(
    first: BorrowedFd<'_>,
    path: &CStr,
    visit: &mut dyn FnMut(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    visit(first)?;
    let mut next = parent_of(first, path)?;
    for _ in 0..MOST_PARENTS {
        let Some(parent) = next else { return Ok(()) };
        visit(parent.as_fd())?;
        next = parent_of(parent.as_fd(), path)?;
    }
    Err(Error::invalid(format_args!("{}: more than {MOST_PARENTS} parents", Show(path))))
}

fn parent_of(directory: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>> {
    match openat(directory, PARENT, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        opened => opened.map(Some).on(format_args!("openat {}/{}", Show(path), Show(PARENT))),
    }
}

/// Checks that the files of an image directory are regular files, apart from directories, which CRIU does not use, and the
/// link to the preceding images.
fn check_files(directory: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); 4096];
    let listed =
        openat(directory, c".", DIRECTORY, Mode::empty()).on(format_args!("openat {}", Show(path)))?;
    let mut entries = RawDir::new(&listed, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry.on(format_args!("getdents64 {}", Show(path)))?;
        let name = entry.file_name();
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).on(format_args!(
            "newfstatat {}/{}",
            Show(path),
            Show(name)
        ))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile | FileType::Directory => {}
            FileType::Socket if name == LAZY_PAGES => {}
            FileType::Symlink if name == PARENT => {}
            _ => {
                let (path, name) = (Show(path), Show(name));
                return Err(Error::invalid(format_args!(
                    "{path}/{name}: not a regular file, which CRIU would open"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_log() {
        let log = b"(00.000001) Version: 4.1\n(00.1) Error (criu/a.c:1): first\n(00.2)     12: Error (criu/b.c:2): x\n\
            (00.3) Error (criu/cr-dump.c:2111): Dumping FAILED.\nno line";
        let [first, last] = errors(log).map(Option::unwrap);
        assert_eq!(first, b"Error (criu/a.c:1): first");
        assert_eq!(last, b"Error (criu/cr-dump.c:2111): Dumping FAILED.");
        assert_eq!(after_time(b"00.2)     12: Error (criu/b.c:2): x").unwrap(), b"Error (criu/b.c:2): x");
        assert_eq!(errors(b"Error\n(Error\n"), [None, None]);
    }
}
