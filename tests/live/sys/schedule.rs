//! Scheduling attributes and CPU affinity.

use std::io::Result;

use super::check;

/// Binds this thread, and the processes that it starts, to one CPU until dropped.
pub struct Pinned(libc::cpu_set_t);

impl Pinned {
    pub fn new() -> Result<Self> {
        // SAFETY: a set of CPUs is an array of bits, of which all zero is the empty set.
        let (mut before, mut one) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: the set has the length given.
        check(unsafe { libc::sched_getaffinity(0, size, &raw mut before) })?;
        // SAFETY: no arguments.
        let cpu = check(unsafe { libc::sched_getcpu() })?;
        // SAFETY: the kernel's number of a CPU is below the set's length.
        unsafe { libc::CPU_SET(cpu as usize, &mut one) };
        // SAFETY: the set has the length given.
        check(unsafe { libc::sched_setaffinity(0, size, &raw const one) })?;
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the set has the length given.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) };
    }
}

/// Policy, nice value, I/O priority.
pub fn current() -> [libc::c_long; 3] {
    // SAFETY: none of them takes a pointer.
    unsafe {
        [
            // The C library has no wrapper.
            libc::syscall(libc::SYS_sched_getscheduler, 0),
            libc::getpriority(libc::PRIO_PROCESS, 0).into(),
            libc::syscall(libc::SYS_ioprio_get, 1, 0),
        ]
    }
}
