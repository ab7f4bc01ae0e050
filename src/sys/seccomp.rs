//! seccomp(2): loads filters, and queries what the kernel supports.

use linux_raw_sys::general::__NR_seccomp;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

use super::call_list::{CallList, First, ListedCall};

// include/uapi/linux/seccomp.h
const SET_MODE_FILTER: usize = 1;
const GET_ACTION_AVAIL: usize = 2;
pub(crate) const TSYNC: u32 = 1 << 0;
pub(crate) const LOG: u32 = 1 << 1;
pub(crate) const SPEC_ALLOW: u32 = 1 << 2;
pub(crate) const NEW_LISTENER: u32 = 1 << 3;
pub(crate) const TSYNC_ESRCH: u32 = 1 << 4;
pub(crate) const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// A system call that will be made, with the arguments that are known in advance.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// Its name in the table of system calls, such as `openat`.
    pub name: &'static str,
    /// The leading arguments, up to the first unknown one. The others may have any value, including those that the call
    /// does not have: a filter always gets six, from registers with arbitrary content.
    pub arguments: &'c [u64],
}

/// What depends on a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The start: if the call fails, the program is not executed.
    Success,
    /// Only that the process is not killed: the call may fail.
    Survival,
    /// Only the error message of a failed start.
    ErrorReport,
}

/// `struct sock_fprog`.
#[repr(C)]
#[derive(Clone, Copy)]
struct SockFprog {
    length: u16,
    instructions: *const u64,
}

/// Adds a filter of `struct sock_filter`s to those of this thread. With `NEW_LISTENER` returns the listener fd.
///
/// Errors: those of seccomp(2); ESRCH also if TSYNC failed for a thread.
pub(crate) fn set_filter(instructions: &[u64], flags: u32) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let program = SockFprog { length, instructions: instructions.as_ptr() };
    // SAFETY: the structure and the instructions, whose count is in it, outlive the call; the kernel copies them.
    // An instruction is 8 bytes long, and has a larger alignment than needed. The effect on later system calls of this
    // thread is intended by the caller.
    let returned = unsafe {
        super::raw::syscall3(
            __NR_seccomp as usize,
            SET_MODE_FILTER,
            flags as usize,
            &raw const program as usize,
        )
    };
    match super::check(returned)? {
        // SAFETY: the kernel has created a new file descriptor, which has no other owner.
        fd if flags & NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        0 => Ok(None),
        // The ID of the thread for which TSYNC failed.
        _ => Err(Errno::SRCH),
    }
}

/// The call of [`set_filter`] without a listener, for a list.
pub(crate) fn set_filter_call(list: &mut CallList, instructions: &[u64], flags: u32) -> ListedCall {
    let copy = list.words(instructions);
    let program = list
        .object(SockFprog { length: instructions.len() as u16, instructions: copy.number() as *const u64 });
    ListedCall::new(__NR_seccomp, First::Is(SET_MODE_FILTER), [flags as usize, program.number(), 0, 0])
}

/// Whether the kernel supports these flags: then a call without a program fails with EFAULT, else with EINVAL.
pub(crate) fn are_flags_known(flags: u32) -> bool {
    // SAFETY: the pointer to the program is null, so nothing is read, and no filter is added.
    let returned = unsafe { super::raw::syscall3(__NR_seccomp as usize, SET_MODE_FILTER, flags as usize, 0) };
    super::check(returned) == Err(Errno::FAULT)
}

/// Whether the kernel supports an action, `SECCOMP_RET_*` (SECCOMP_GET_ACTION_AVAIL, linux 4.14).
pub(crate) fn is_action_available(action: u32) -> bool {
    // SAFETY: the number outlives the call; the kernel only reads it.
    let returned = unsafe {
        super::raw::syscall3(__NR_seccomp as usize, GET_ACTION_AVAIL, 0, &raw const action as usize)
    };
    super::check(returned).is_ok()
}
