//! System calls that rustix lacks, each behind a safe function, and the few things only `unsafe` can do.
//!
//! This is the one place of the library where `unsafe` is allowed (besides the C interface); every block
//! argues about the pointers it hands to the kernel: how long they are, who owns them, when they end.
//! Numbers and structures are the kernel's own, from linux-raw-sys; the instruction is sc's.
#![allow(unsafe_code)]

pub mod bpf;
pub mod bump;
pub mod clone;
pub mod cwd;
pub mod end;
pub mod exec;
pub mod fault;
pub mod fd;
pub mod key;
pub mod mount;
pub mod net;
pub mod pidfd;
mod program;
pub mod program_text;
pub mod rlimit;
pub mod sched;
pub mod seccomp;
pub mod self_exe;
pub mod signal;
pub mod slot;
pub mod start;
pub mod time;

use core::ffi::c_ulong;

use rustix::io::{Errno, Result};

/// Of include/uapi/linux/auxvec.h.
const AT_PAGESZ: c_ulong = 6;

unsafe extern "C" {
    /// getauxval(3)
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// How large a page is.
fn page_size() -> usize {
    getauxval(AT_PAGESZ) as usize
}

/// What a system call returned: the kernel gives -errno for -4095 to -1.
fn check(returned: usize) -> Result<usize> {
    match returned as isize {
        error @ -4095..=-1 => Err(Errno::from_raw_os_error(-error as i32)),
        _ => Ok(returned),
    }
}
