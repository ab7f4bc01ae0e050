//! clone3(2) in the manner of fork: the child gets a copy of everything and never comes back.

use core::convert::Infallible;
use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_clone3, __NR_unshare, CLONE_INTO_CGROUP, CLONE_PIDFD, SIGCHLD, clone_args,
};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Result;
use rustix::process::Pid;

/// Runs `child` in a new process with the namespaces of `flags` (`CLONE_NEW*`, `CLONE_PARENT`), inside the
/// cgroup v2 directory `cgroup` when one is given (linux 5.7). Gives its pid and a pidfd of it.
///
/// The child shares nothing with this process but open files; `child` must not return, which its type
/// says. It runs in a copy of a process that may have had other threads: it must not allocate.
///
/// Errors: those of clone3(2); EAGAIN also when the cgroup's `pids.max` is reached.
pub fn spawn(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> Infallible,
) -> Result<(Pid, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    // CLONE_PARENT: the exit signal is inherited, and must not be given.
    let signal = if flags & u64::from(linux_raw_sys::general::CLONE_PARENT) == 0 { SIGCHLD } else { 0 };
    let arguments = clone_args {
        flags: flags | u64::from(CLONE_PIDFD) | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 },
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(signal),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the arguments and `pidfd` outlive the call; without CLONE_VM the child has its own copy of
    // this stack and goes on in it, without CLONE_SETTLS in its own copy of the thread's storage.
    let returned =
        unsafe { sc::syscall2(__NR_clone3 as usize, &raw const arguments as usize, size_of::<clone_args>()) };
    match super::check(returned)? {
        #[allow(unreachable_code)] // `child` does not return, and `!` as its type is not stable Rust.
        0 => match child() {},
        pid => {
            // SAFETY: the kernel put a new descriptor there, which nobody else knows.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Pid::from_raw(pid as i32).map(|pid| (pid, pidfd)).ok_or(rustix::io::Errno::SRCH)
        }
    }
}

/// unshare(2): leaves the namespaces of `flags` for new ones.
pub fn unshare(flags: u32) -> Result<()> {
    // SAFETY: CLONE_FILES and CLONE_FS are not among the flags used, so no other thread's view changes.
    super::check(unsafe { sc::syscall1(__NR_unshare as usize, flags as usize) }).map(drop)
}

/// Ends the process at once, as _exit(2).
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes no pointer.
        unsafe { sc::syscall1(linux_raw_sys::general::__NR_exit_group as usize, code as usize) };
    }
}
