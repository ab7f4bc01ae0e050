//! Attributes that a caller sets for itself before it executes the runtime, which inherits them.

use std::io::Result;

use super::{NONE, check};

/// Ignores every signal, and blocks them.
pub fn ignore_and_block_signals() {
    for signal in 1..=64 {
        // The handler is the first of at most five words of struct kernel_sigaction; the others may be zero.
        let action = [libc::SIG_IGN, 0, 0, 0, 0];
        let nothing = std::ptr::null::<usize>();
        // SAFETY: the structure outlives the call, and the set in it has the size given. The kernel rejects SIGKILL
        // and SIGSTOP.
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

/// Removes a capability from the bounding set, so that programs of root that are executed later do not have it.
pub fn drop_from_bounding_set(capability: u32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }).map(drop)
}

/// Closes a file descriptor by its number.
pub fn close(number: i32) {
    // SAFETY: takes no pointer; a child before exec does not use the files of Rust any more.
    unsafe { libc::close(number) };
}

pub fn set_umask(mask: u32) {
    // SAFETY: takes no pointer.
    unsafe { libc::umask(mask) };
}

pub fn set_nice(nice: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
}

/// Sets the I/O priority: class and level as the kernel packs them.
pub fn set_io_priority(priority: i32) -> Result<()> {
    // SAFETY: takes no pointer; 1 is IOPRIO_WHO_PROCESS, 0 this process.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, priority) }).map(drop)
}

/// Changes the user and group ID and keeps all capabilities, as [`keep_capabilities`].
pub fn become_user_with_capabilities(id: u32) -> Result<()> {
    super::prctl(libc::PR_SET_KEEPCAPS, 1);
    // SAFETY: both take no pointer.
    unsafe {
        check(libc::setresgid(id, id, id))?;
        check(libc::setresuid(id, id, id))?;
    }
    keep_capabilities()
}

/// Makes all capabilities ambient, so that they are kept across execve(2).
pub fn keep_capabilities() -> Result<()> {
    let [_, permitted, _] = super::capabilities();
    set_capabilities(permitted)?;
    for number in (0..64).filter(|number| permitted >> number & 1 == 1) {
        // SAFETY: takes no pointer.
        let raised =
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, NONE, NONE) };
        check(raised)?;
    }
    Ok(())
}

/// Gives up capabilities for good, as bits: from all sets.
pub fn drop_capabilities(dropped: u64) -> Result<()> {
    for number in (0..64).filter(|number| dropped >> number & 1 == 1) {
        // EINVAL: the kernel has no such capability.
        super::prctl(libc::PR_CAPBSET_DROP, number);
    }
    let [_, permitted, _] = super::capabilities();
    set_capabilities(permitted & !dropped)
}

/// Sets the effective, permitted and inheritable sets.
fn set_capabilities(bits: u64) -> Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let [low, high] = [bits as u32, (bits >> 32) as u32];
    let data = [[low; 3], [high; 3]];
    // SAFETY: version 3 takes an 8-byte header and two records of three words.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}
