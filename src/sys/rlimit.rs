//! prlimit(2) with resources by number, for this process.

use linux_raw_sys::general::{__NR_prlimit64, RLIMIT_NOFILE, rlimit64};
use rustix::io::Result;

/// The largest number of an open file, plus one (getrlimit(2)).
pub const NOFILE: u32 = RLIMIT_NOFILE;

/// Soft and hard limit; `u64::MAX` is no limit.
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let old = &raw mut limit as usize;
    // SAFETY: the structure is written during the call only, and no new value is given.
    let returned = unsafe { sc::syscall4(__NR_prlimit64 as usize, 0, resource as usize, 0, old) };
    super::check(returned).map(|_| (limit.rlim_cur, limit.rlim_max))
}

/// Sets both.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = rlimit64 { rlim_cur: soft, rlim_max: hard };
    let new = &raw const limit as usize;
    // SAFETY: the structure is read during the call only, and no old value is asked for.
    let returned = unsafe { sc::syscall4(__NR_prlimit64 as usize, 0, resource as usize, new, 0) };
    super::check(returned).map(drop)
}
