//! seccomp(2): filters of system calls.

use linux_raw_sys::general::__NR_seccomp;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

// include/uapi/linux/seccomp.h
const SET_MODE_FILTER: usize = 1;
const GET_ACTION_AVAIL: usize = 2;
pub const TSYNC: u32 = 1 << 0;
pub const LOG: u32 = 1 << 1;
pub const SPEC_ALLOW: u32 = 1 << 2;
pub const NEW_LISTENER: u32 = 1 << 3;
pub const TSYNC_ESRCH: u32 = 1 << 4;
pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// A system call, as far as it is known before it is made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    pub name: &'static str,
    /// The first of its arguments, up to one that is not known. All behind them may be anything, also those that the call
    /// does not have: a filter sees six, whatever the registers hold.
    pub arguments: &'c [u64],
}

/// What a call is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To come to the program.
    Success,
    /// It may fail, but the process must live.
    Life,
    /// To say why there is no program.
    Words,
}

/// `struct sock_fprog`.
#[repr(C)]
struct SockFprog {
    length: u16,
    instructions: *const u64,
}

/// Adds a filter, `struct sock_filter`s, to those of this thread. With `NEW_LISTENER` gives its descriptor.
///
/// Errors: those of seccomp(2); ESRCH also when TSYNC found a thread that cannot follow.
pub fn set_filter(instructions: &[u64], flags: u32) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let program = SockFprog { length, instructions: instructions.as_ptr() };
    // SAFETY: the structure and the instructions, as many as it says, outlive the call; the kernel copies them.
    // An instruction is 8 bytes, and aligned more than it needs. What the filter then does to this thread's calls
    // is what its caller wants.
    let returned = unsafe {
        sc::syscall3(__NR_seccomp as usize, SET_MODE_FILTER, flags as usize, &raw const program as usize)
    };
    match super::check(returned)? {
        // SAFETY: the kernel made a new descriptor, which nobody else knows.
        fd if flags & NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        0 => Ok(None),
        // The id of the thread.
        _ => Err(Errno::SRCH),
    }
}

/// Whether the kernel knows flags: then it comes to miss the program.
pub fn are_flags_known(flags: u32) -> bool {
    // SAFETY: without a program nothing is read, and no filter is added.
    let returned = unsafe { sc::syscall3(__NR_seccomp as usize, SET_MODE_FILTER, flags as usize, 0) };
    super::check(returned) == Err(Errno::FAULT)
}

/// Whether the kernel knows an action, `SECCOMP_RET_*` (linux 4.14).
pub fn is_action_available(action: u32) -> bool {
    // SAFETY: the number outlives the call; the kernel only reads it.
    let returned =
        unsafe { sc::syscall3(__NR_seccomp as usize, GET_ACTION_AVAIL, 0, &raw const action as usize) };
    super::check(returned).is_ok()
}
