//! What a caller does to itself before it runs the runtime, which that inherits.

use std::io::Result;

use super::check;

/// Ignores every signal, and blocks them.
pub fn ignore_and_block_signals() {
    for signal in 1..=64 {
        // The handler comes first in the kernel's structure, which has four words at the most; the rest may be zero.
        let action = [libc::SIG_IGN as u64, 0, 0, 0];
        let nothing = std::ptr::null::<u64>();
        // SAFETY: the structure outlives the call, which is told the size of the set in it. KILL and STOP are refused.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), nothing, size_of::<u64>()) };
    }
    super::block_signals();
}

/// Sets soft and hard limit of a resource.
pub fn set_limit(kind: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    let nothing = std::ptr::null_mut::<libc::rlimit>();
    // SAFETY: one structure that outlives the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, kind, &raw const limit, nothing) }).map(drop)
}

/// Closes a descriptor, whoever has it.
pub fn close(number: i32) {
    // SAFETY: takes no pointer; in a child before exec no file that Rust owns is used any more.
    unsafe { libc::close(number) };
}

pub fn set_umask(mask: u32) {
    // SAFETY: takes no pointer.
    unsafe { libc::umask(mask) };
}

pub fn set_nice(nice: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }.into()).map(drop)
}

/// The class and level of priority for storage, as the kernel packs them.
pub fn set_io_priority(priority: i32) -> Result<()> {
    // SAFETY: takes no pointer; 1 is a process, 0 this one.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, priority) }).map(drop)
}
