//! A perf event (perf_event_open(2)).

use std::io::Result;
use std::os::fd::{FromRawFd, OwnedFd};

use super::check;

/// Opens a disabled software event of this process.
///
/// While a process has an event, the kernel's static branch for events of tasks is on. CRIU uses hardware breakpoints,
/// which are such events, and the branch would be changed with each dump: in a machine with several CPUs that QEMU
/// emulates, another CPU may execute half of the changed instruction, which ends in a kernel panic.
pub fn event() -> Result<OwnedFd> {
    // `struct perf_event_attr`: PERF_TYPE_SOFTWARE, its first size, PERF_COUNT_SW_DUMMY, and `disabled`.
    let (kind, size, dummy, disabled) = (1u64, 64u64, 9u64, 1u64);
    let mut attributes = [0u64; 8];
    attributes[0] = kind | size << 32;
    attributes[1] = dummy;
    attributes[5] = disabled;
    /// `PERF_FLAG_FD_CLOEXEC`.
    const CLOEXEC: libc::c_ulong = 8;
    // SAFETY: the structure has the size that it names, and outlives the call; the descriptor is new.
    unsafe {
        let opened = libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, CLOEXEC);
        Ok(OwnedFd::from_raw_fd(check(opened)? as i32))
    }
}
