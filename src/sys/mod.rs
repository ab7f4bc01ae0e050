//! Safe wrappers of system calls that rustix lacks, and the other code that needs `unsafe`, such as the allocator.
//!
//! This is the only directory of the library where `unsafe` is allowed. Each block has a comment on the pointers that
//! it passes to the kernel: length, ownership and lifetime. Numbers and structures are the kernel's, from the crate
//! linux-raw-sys.
#![allow(unsafe_code)]

pub mod bpf;
pub mod bump;
pub(crate) mod call_list;
pub mod clone;
pub(crate) mod cwd;
pub(crate) mod end;
pub(crate) mod exec;
pub(crate) mod fault;
pub mod fd;
pub(crate) mod key;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod net;
pub(crate) mod pidfd;
mod program;
pub(crate) mod program_text;
pub(crate) mod raw;
pub(crate) mod reaper;
pub(crate) mod rlimit;
pub(crate) mod sched;
pub mod seccomp;
pub(crate) mod self_exe;
pub mod signal;
pub(crate) mod slot;
pub(crate) mod stack;
pub(crate) mod time;

use core::ffi::c_ulong;

use rustix::io::{Errno, Result};

/// From include/uapi/linux/auxvec.h.
const AT_PAGESZ: c_ulong = 6;

unsafe extern "C" {
    /// getauxval(3), of the C library of the program, or of src/start.rs.
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// The page size in bytes.
pub(crate) fn page_size() -> usize {
    getauxval(AT_PAGESZ) as usize
}

/// Converts the return value of a system call: -4095 to -1 is a negated error number.
fn check(returned: usize) -> Result<usize> {
    match returned as isize {
        error @ -4095..=-1 => Err(Errno::from_raw_os_error(-error as i32)),
        _ => Ok(returned),
    }
}
