//! The system call clock_gettime(2): for one or two calls, looking up the vDSO would cost more.

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::__NR_clock_gettime as CLOCK_GETTIME;
// linux 5.1
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::__NR_clock_gettime64 as CLOCK_GETTIME;
use linux_raw_sys::general::{__kernel_timespec, CLOCK_MONOTONIC, CLOCK_REALTIME};

/// Seconds and nanoseconds since 1970-01-01 UTC (CLOCK_REALTIME).
pub fn now() -> (i64, u32) {
    let time = of(CLOCK_REALTIME);
    (time.tv_sec, time.tv_nsec as u32)
}

/// Seconds since an unspecified time, unaffected by changes of the system time (CLOCK_MONOTONIC).
pub fn uptime() -> i64 {
    of(CLOCK_MONOTONIC).tv_sec
}

fn of(clock: u32) -> __kernel_timespec {
    let mut time = __kernel_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    unsafe { super::raw::syscall2(CLOCK_GETTIME as usize, clock as usize, &raw mut time as usize) };
    time
}
