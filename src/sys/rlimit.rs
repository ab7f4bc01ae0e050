//! prlimit(2) for this process, with resources by number.

use linux_raw_sys::general::{__NR_prlimit64, RLIMIT_NOFILE, rlimit64};
use rustix::io::Result;

use super::call_list::{CallList, First, ListedCall};

/// RLIMIT_NOFILE: the largest number of a file descriptor, plus one (getrlimit(2)).
pub const NOFILE: u32 = RLIMIT_NOFILE;

/// The soft and the hard limit of a resource; `u64::MAX` is RLIM_INFINITY.
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let old = &raw mut limit as usize;
    // SAFETY: the structure is written to during the call only, and the pointer to a new limit is null.
    let returned = unsafe { super::raw::syscall4(__NR_prlimit64 as usize, 0, resource as usize, 0, old) };
    super::check(returned).map(|_| (limit.rlim_cur, limit.rlim_max))
}

/// The call of [`set_limit`], for a list.
pub fn set_limit_call(list: &mut CallList, resource: u32, soft: u64, hard: u64) -> ListedCall {
    let limit = list.words(&[soft, hard]);
    ListedCall::new(__NR_prlimit64, First::Is(0), [resource as usize, limit.number(), 0, 0])
}

/// Sets the soft and the hard limit of a resource. Raising the hard limit needs CAP_SYS_RESOURCE in the initial user
/// namespace.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = rlimit64 { rlim_cur: soft, rlim_max: hard };
    let new = &raw const limit as usize;
    // SAFETY: the structure is read during the call only, and the pointer to the old limit is null.
    let returned = unsafe { super::raw::syscall4(__NR_prlimit64 as usize, 0, resource as usize, new, 0) };
    super::check(returned).map(drop)
}
