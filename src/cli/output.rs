//! Unbuffered standard output.

use mote::internal::error::{Error, On, Result};
use mote::internal::sys::fd::stdout;
use rustix::io::write;

/// Prints a text and returns exit code 0.
pub fn print(text: &str) -> Result<i32> {
    let stdout = stdout().ok_or_else(|| Error::invalid(format_args!("standard output is closed")))?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let count = write(stdout, rest).on(format_args!("write to standard output"))?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(0)
}
