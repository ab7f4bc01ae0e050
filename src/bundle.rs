//! A bundle: a directory with a config.json and a root filesystem (bundle.md).

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::read;

use crate::error::{Error, On, Result, Show};
use crate::json::MAX_SIZE;

/// What the file is called.
pub const CONFIG: &CStr = c"config.json";

/// A bundle's directory, and its configuration as it stands in the file.
pub struct Bundle {
    /// Absolute.
    pub path: CString,
    pub config: Vec<u8>,
}

impl Bundle {
    /// Reads a bundle. `config` is another file to read than its own: a path, taken from the working
    /// directory (`--config`).
    pub fn read(directory: &CStr, config: Option<&CStr>) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            openat(CWD, directory, flags, Mode::empty()).on(format_args!("bundle {}", Show(directory)))?;
        let config = match config {
            Some(path) => read_file(CWD, path),
            None => read_file(rustix::fd::AsFd::as_fd(&fd), CONFIG),
        }?;
        Ok(Bundle { path: absolute(directory)?, config })
    }
}

/// A file's content.
pub fn read_file(directory: rustix::fd::BorrowedFd<'_>, path: &CStr) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd =
        openat(directory, path, flags, Mode::empty()).on(format_args!("openat {}", Show(path)))?;
    read_all(&file, path)
}

/// A whole file of a bearable size, or what comes through a pipe, or what the kernel says in a file of procfs, whose size
/// is 0.
pub fn read_all(file: impl AsFd, name: &CStr) -> Result<Vec<u8>> {
    let stat = fstat(&file).on(format_args!("fstat {}", Show(name)))?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size > 0;
    let too_large = || Error::invalid(format_args!("{}: larger than {} MiB", Show(name), MAX_SIZE >> 20));
    let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= MAX_SIZE).ok_or_else(too_large)?;
    // One byte more than there should be: a read that does not fill it has met the end.
    let mut text = vec![0; if regular { size + 1 } else { 4096 }];
    let mut length = 0;
    loop {
        let space = text.get_mut(length..).unwrap_or_default();
        match read(&file, space).on(format_args!("read {}", Show(name)))? {
            0 => break,
            count => length += count,
        }
        // Full: it grows while it is read. Exactly as long as it should be: a regular file's end.
        if regular && length >= size {
            break;
        }
        if length > MAX_SIZE {
            return Err(too_large());
        }
        if length == text.len() {
            text.resize(2 * length, 0);
        }
    }
    text.truncate(length);
    Ok(text)
}

/// The bundle's path from the root, for its state and for whoever asks.
fn absolute(path: &CStr) -> Result<CString> {
    if path.to_bytes().starts_with(b"/") {
        return Ok(path.into());
    }
    let mut space = vec![0u8; 4096];
    let at = crate::sys::cwd::getcwd(&mut space).on(format_args!("getcwd"))?;
    let mut joined = at.to_vec();
    // "." is what the option is when it is not given.
    for part in path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        joined.push(b'/');
        joined.extend_from_slice(part);
    }
    CString::new(joined)
        .map_err(|_| Error::invalid(format_args!("bundle {} contains a NUL byte", Show(path))))
}
