//! Reading whole files.

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io;

use crate::error::{Error, On, Result, Show};
use crate::sys::fd::inherited;

/// The largest file that is read, in bytes.
pub const MAX_SIZE: usize = 16 << 20;

/// A document that is passed to mote.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The file at a path, relative to the working directory.
    Path(&'a CStr),
    /// Its text.
    Bytes(&'a [u8]),
    /// What can be read from the standard input.
    StandardInput,
}

impl<'a> Source<'a> {
    /// Reads it. Errors: the standard input is closed; those of [`read`].
    pub fn read(self) -> Result<Vec<u8>> {
        match self {
            Source::Path(path) => read(CWD, path),
            Source::Bytes(bytes) => Ok(bytes.to_vec()),
            Source::StandardInput => {
                let stdin = inherited(0);
                let stdin = stdin.ok_or_else(|| Error::invalid(format_args!("standard input is closed")))?;
                read_all(stdin, c"standard input")
            }
        }
    }

    /// Its name in errors: its path, or `what` if it has none that can be printed.
    pub fn name(self, what: &'a str) -> &'a str {
        match self {
            Source::Path(path) => path.to_str().unwrap_or(what),
            Source::Bytes(_) => what,
            Source::StandardInput => "standard input",
        }
    }
}

/// Reads the file at a path, relative to `directory`. Errors: it is larger than [`MAX_SIZE`].
pub fn read(directory: BorrowedFd<'_>, path: &CStr) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd =
        openat(directory, path, flags, Mode::empty()).on(format_args!("openat {}", Show(path)))?;
    read_all(&file, path)
}

/// Reads a whole open file of at most [`MAX_SIZE`] bytes: a regular file, a pipe, or a file of procfs, whose size is 0.
pub fn read_all(file: impl AsFd, name: &CStr) -> Result<Vec<u8>> {
    let stat = fstat(&file).on(format_args!("fstat {}", Show(name)))?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size > 0;
    let too_large = || Error::invalid(format_args!("{}: larger than {} MiB", Show(name), MAX_SIZE >> 20));
    let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= MAX_SIZE).ok_or_else(too_large)?;
    // One byte more than the size: a read that does not fill the buffer has reached the end of file.
    let mut text = vec![0; if regular { size + 1 } else { 4096 }];
    let mut length = 0;
    loop {
        let space = text.get_mut(length..).unwrap_or_default();
        match io::read(&file, space).on(format_args!("read {}", Show(name)))? {
            0 => break,
            count => length += count,
        }
        // The expected size of a regular file has been read. If the buffer is full, the file is growing.
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
