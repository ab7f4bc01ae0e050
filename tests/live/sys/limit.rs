//! Limits of a process (setrlimit(2)).

use std::io::Result;

use super::check;

/// Limits the number of file descriptors, soft and hard.
pub fn descriptors(most: u64) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure outlives the call, which only reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}
