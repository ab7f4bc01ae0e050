//! Unbuffered standard output.

use mote::internal::error::{Error, On, Result};
use mote::internal::sys::fd::stdout;
use rustix::fd::AsFd;
use rustix::io::write;

/// Prints a text and returns exit code 0.
pub fn print(text: &str) -> Result<i32> {
    let stdout = stdout().ok_or_else(|| Error::invalid(format_args!("standard output is closed")))?;
    write_all(stdout, text).on(format_args!("write to standard output"))?;
    Ok(0)
}

/// A short write, as at RLIMIT_FSIZE or on a full filesystem, is continued for its error.
pub fn write_all(file: impl AsFd, text: &str) -> rustix::io::Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let count = write(&file, rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}
