//! System calls of an attacker: renameat2(2) with RENAME_EXCHANGE, ptrace(2), keyctl(2).

#![allow(unsafe_code)]
// One SAFETY comment covers all calls of a wrapper.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use std::io::Result;
use std::path::Path;

use super::{check, text};

/// Exchanges two names atomically.
pub fn exchange(one: &Path, two: &Path) -> Result<()> {
    let (one, two, here) = (text(one)?, text(two)?, libc::AT_FDCWD);
    let flags = libc::RENAME_EXCHANGE;
    // SAFETY: two strings that outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, two.as_ptr(), flags) };
    check(answer).map(drop)
}

/// Attaches to a process as its tracer, if the kernel allows that, and stops it until [`detach`].
pub fn attach(pid: i32) -> Result<()> {
    // SAFETY: the requests access no memory of this process, and waitpid(2) gets a null pointer.
    unsafe {
        check(libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0))?;
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
    }
    Ok(())
}

pub fn detach(pid: i32) {
    // SAFETY: accesses no memory of this process.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
}

/// An operation of keyctl(2); the words are numbers or addresses of strings.
pub fn keyctl(operation: u32, words: [libc::c_long; 3]) -> Result<libc::c_long> {
    let [one, two, three] = words;
    // SAFETY: the callers pass numbers, and strings that outlive the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, operation, one, two, three, 0) })
}
