//! What an attacker calls: rename(2) with an exchange, ptrace(2), keyctl(2).

#![allow(unsafe_code)]
// A block here is one wrapper's worth of calls, and its argument holds for all of them.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use std::io::Result;
use std::path::Path;

use super::{check, text};

/// Exchanges two names at once.
pub fn exchange(one: &Path, two: &Path) -> Result<()> {
    let (one, two, here) = (text(one)?, text(two)?, libc::AT_FDCWD);
    let flags = libc::RENAME_EXCHANGE;
    // SAFETY: two strings that outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, two.as_ptr(), flags) };
    check(answer).map(drop)
}

/// Whether a process lets this one be its debugger; it is stopped then, until [`let_go`].
pub fn seize(pid: i32) -> Result<()> {
    // SAFETY: the requests read and write nothing of this process; waiting writes nothing either.
    unsafe {
        check(libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0))?;
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
    }
    Ok(())
}

pub fn let_go(pid: i32) {
    // SAFETY: reads and writes nothing of this process.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
}

/// One of keyctl(2)'s operations; the words stand for numbers, or for the addresses of strings.
pub fn keyctl(operation: u32, words: [i64; 3]) -> Result<i64> {
    let [one, two, three] = words;
    // SAFETY: the callers give numbers, and strings that outlive the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, operation, one, two, three, 0) })
}
