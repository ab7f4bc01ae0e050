//! The mount option `tmpcopyup`: a tmpfs is filled with a copy of the directory that it is mounted over.
//!
//! Files are opened relative to file descriptors, and links are not followed. This runs in the child, which does not
//! allocate memory.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid, chmodat, chownat, fstat, mkdirat, mknodat,
    openat, readlinkat_raw, sendfile, statat, symlinkat,
};
use rustix::io::{Errno, Result as Raw};

use crate::error::{Error, On, Result};

/// The maximum depth of nested directories, as each takes some of the stack.
const MAX_DEPTH: u32 = 64;

/// Copies the content of the directory `from` into the empty directory `to`, with owners and modes. Others may remove files of
/// `from` meanwhile.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    let opened = open_directory(from, c".").and_then(|from| copy_directory(&from, to, c".", 0));
    match opened {
        Err(Errno::MLINK) => {
            Err(Error::invalid(format_args!("tmpcopyup: directories deeper than {MAX_DEPTH}")))
        }
        copied => copied.on(format_args!("tmpcopyup")),
    }
}

fn open_directory(parent: &OwnedFd, name: &CStr) -> Raw<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd, into: &CStr, depth: u32) -> Raw<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::MLINK);
    }
    let to = open_directory(to, into)?;
    let mut space = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(from, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            match copy_entry(from, &to, name, depth) {
                // Removed after it was listed, and nothing of it is in `to`.
                Err(Errno::NOENT) => {}
                copied => copied?,
            }
        }
    }
    Ok(())
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: u32) -> Raw<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (kind, mode) = (FileType::from_raw_mode(stat.st_mode), Mode::from_raw_mode(stat.st_mode & 0o7777));
    match kind {
        FileType::Directory => {
            let from = open_directory(from, name)?;
            mkdirat(to, name, mode)?;
            copy_directory(&from, to, name, depth + 1)?;
        }
        FileType::RegularFile => copy_file(from, to, name, &stat)?,
        FileType::Symlink => {
            let mut space = [MaybeUninit::<u8>::uninit(); 4096];
            let (target, _) = readlinkat_raw(from, name, &mut space[..])?;
            symlinkat(&*target, to, name)?;
        }
        kind => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    let (uid, gid) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    match kind {
        FileType::Symlink => Ok(()),
        // chown(2) clears set-user-ID and set-group-ID bits.
        _ => chmodat(to, name, mode, AtFlags::empty()),
    }
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> Raw<()> {
    // O_NONBLOCK: if the file was replaced by a FIFO, open(2) would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&source)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(to, name, flags, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    while sendfile(&target, &source, None, 1 << 30)? > 0 {}
    Ok(())
}
