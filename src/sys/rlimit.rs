//! prlimit(2) with resources by number.

use linux_raw_sys::general::{__NR_prlimit64, rlimit64};
use rustix::io::Result;
use rustix::process::Pid;

/// Sets a limit of process `pid`, or of this one; `u64::MAX` is no limit.
pub fn prlimit(pid: Option<Pid>, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = rlimit64 { rlim_cur: soft, rlim_max: hard };
    let pid = pid.map_or(0, |pid| pid.as_raw_nonzero().get() as usize);
    // SAFETY: the structure is read during the call only, and no old value is asked for.
    let returned = unsafe {
        sc::syscall4(__NR_prlimit64 as usize, pid, resource as usize, &raw const limit as usize, 0)
    };
    super::check(returned).map(drop)
}
