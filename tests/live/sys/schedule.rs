//! Scheduling: on which CPU, and how.

use std::io::Result;

use super::check;

/// This thread, and what it starts, on one CPU alone until dropped.
pub struct Pinned(libc::cpu_set_t);

impl Pinned {
    pub fn here() -> Result<Self> {
        // SAFETY: a set of CPUs is an array of bits, of which all zero is the empty one.
        let (mut before, mut one) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: the set is as long as is said.
        check(unsafe { libc::sched_getaffinity(0, size, &raw mut before) }.into())?;
        // SAFETY: no arguments.
        let cpu = check(unsafe { libc::sched_getcpu() }.into())?;
        // SAFETY: the kernel's number of a CPU is below the set's length.
        unsafe { libc::CPU_SET(cpu as usize, &mut one) };
        // SAFETY: the set is as long as is said.
        check(unsafe { libc::sched_setaffinity(0, size, &raw const one) }.into())?;
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the set is as long as is said.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) };
    }
}

/// Policy, nice value, priority for storage, personality.
pub fn seen() -> [i64; 4] {
    // SAFETY: none of them takes a pointer; an argument of -1 asks the personality without a change.
    unsafe {
        [
            // The C library has none of its own.
            libc::syscall(libc::SYS_sched_getscheduler, 0),
            libc::getpriority(libc::PRIO_PROCESS, 0).into(),
            libc::syscall(libc::SYS_ioprio_get, 1, 0),
            libc::personality(0xffff_ffff).into(),
        ]
    }
}
