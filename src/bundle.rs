//! A bundle: a directory with a config.json and a root filesystem (bundle.md).

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::error::{Error, On, Result, Show};
use crate::os::file::{self, Source};

/// The name of the configuration file.
pub const CONFIG: &CStr = c"config.json";

/// A bundle's directory and the text of its configuration.
pub struct Bundle {
    /// Absolute.
    pub path: CString,
    pub config: Vec<u8>,
}

impl Bundle {
    /// Reads a bundle. `config` is read instead of its config.json (`--config`).
    pub fn read(directory: &CStr, config: Option<Source<'_>>) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            openat(CWD, directory, flags, Mode::empty()).on(format_args!("bundle {}", Show(directory)))?;
        let config = match config {
            Some(source) => source.read(),
            None => file::read(fd.as_fd(), CONFIG),
        }?;
        Ok(Bundle { path: absolute(directory)?, config })
    }
}

/// The absolute path of the bundle, for the container's state.
fn absolute(path: &CStr) -> Result<CString> {
    if path.to_bytes().starts_with(b"/") {
        return Ok(path.into());
    }
    let mut space = vec![0u8; 4096];
    let at = crate::sys::cwd::getcwd(&mut space).on(format_args!("getcwd"))?;
    let mut joined = at.to_vec();
    // "." is the default of `--bundle`.
    for part in path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        joined.push(b'/');
        joined.extend_from_slice(part);
    }
    CString::new(joined)
        .map_err(|_| Error::invalid(format_args!("bundle {} contains a NUL byte", Show(path))))
}
