//! Signals without handlers: they are blocked, and received one by one (rt_sigprocmask(2), rt_sigtimedwait(2),
//! signalfd(2)).

use linux_raw_sys::general::{
    __NR_kill, __NR_pidfd_send_signal, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigtimedwait,
    __NR_signalfd4, O_CLOEXEC, SIG_BLOCK, SIG_SETMASK,
};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};
use rustix::process::Pid;

use super::call_list::{CallList, First, ListedCall};

/// The signal for a child that has ended.
pub(crate) const SIGCHLD: i32 = linux_raw_sys::general::SIGCHLD as i32;
/// The signal for a write beyond RLIMIT_FSIZE.
#[cfg(feature = "program")]
pub(crate) const SIGXFSZ: i32 = linux_raw_sys::general::SIGXFSZ as i32;
/// Names of signals, without `SIG`; the index is the number on x86, arm and riscv (signal(7)).
pub static NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal set in the kernel's format: bit n-1 is signal n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set(pub u64);

impl Set {
    /// All signals. SIGKILL and SIGSTOP cannot be blocked; the kernel ignores these bits.
    pub(crate) const ALL: Set = Set(u64::MAX);
    /// The signals with which write(2) kills a process that does not handle its error: for a pipe or socket without
    /// reader, and for a file that would exceed RLIMIT_FSIZE.
    pub(crate) const OF_WRITES: Set =
        Set(1 << (linux_raw_sys::general::SIGPIPE - 1) | 1 << (linux_raw_sys::general::SIGXFSZ - 1));
    /// No signal.
    pub(crate) const NONE: Set = Set(0);

    /// Whether a signal is in the set.
    #[cfg(feature = "program")]
    pub(crate) fn has(self, signal: i32) -> bool {
        self.0 & 1 << (signal - 1) != 0
    }
}

/// The size of the kernel's signal set in bytes, which system calls take; that of a C library is larger.
const SIZE: usize = size_of::<u64>();

/// Sets the signal mask to `signals`, and returns the previous one.
pub(crate) fn block(signals: Set) -> Result<Set> {
    change_mask(SIG_SETMASK, signals)
}

/// Adds `signals` to the signal mask, and returns the previous one.
#[inline(always)] // Runs in each start: see scripts/layout.ld.
pub(crate) fn block_also(signals: Set) -> Result<Set> {
    change_mask(SIG_BLOCK, signals)
}

#[inline(always)]
fn change_mask(how: u32, signals: Set) -> Result<Set> {
    let mut old = Set::NONE;
    let (new, how) = (&raw const signals as usize, how as usize);
    // SAFETY: both sets are SIZE bytes long, and outlive the call.
    let returned =
        unsafe { super::raw::syscall4(__NR_rt_sigprocmask as usize, how, new, &raw mut old as usize, SIZE) };
    super::check(returned).map(|_| old)
}

/// Resets a signal to its default action (rt_sigaction(2)).
pub(crate) fn set_default(signal: i32) -> Result<()> {
    // `struct kernel_sigaction` is at most four words on every architecture, and all zero for SIG_DFL without flags.
    let action = [0u64; 4];
    let (number, new) = (signal as usize, &raw const action as usize);
    // SAFETY: the structure is at least as long as the kernel's, and outlives the call; the old one is not returned;
    // the set in it is SIZE bytes long.
    super::check(unsafe { super::raw::syscall4(__NR_rt_sigaction as usize, number, new, 0, SIZE) }).map(drop)
}

/// The call of [`set_default`], for a list.
pub(crate) fn set_default_call(list: &mut CallList, signal: i32) -> ListedCall {
    let action = list.bytes(&[0; 32]);
    ListedCall::new(__NR_rt_sigaction, First::Is(signal as usize), [action.number(), 0, SIZE, 0])
}

/// The call of [`block`], for a list.
pub(crate) fn block_call(list: &mut CallList, signals: Set) -> ListedCall {
    let set = list.words(&[signals.0]);
    ListedCall::new(__NR_rt_sigprocmask, First::Is(SIG_SETMASK as usize), [set.number(), 0, SIZE, 0])
}

/// Discards a signal, which must be blocked, if it is pending.
pub(crate) fn discard(signal: i32) {
    let (set, timeout) = (Set(1 << (signal - 1)), [0u64; 2]);
    let (set, timeout) = (&raw const set as usize, &raw const timeout as usize);
    // SAFETY: the set is SIZE bytes long, the timeout is a timespec of 0 s; the pointer for siginfo is null.
    let _ = unsafe { super::raw::syscall4(__NR_rt_sigtimedwait as usize, set, 0, timeout, SIZE) };
}

/// Creates a signalfd from which these signals, which must be blocked, are received (signalfd(2); SFD_CLOEXEC is
/// O_CLOEXEC).
pub(crate) fn descriptor(signals: Set) -> Result<OwnedFd> {
    let (set, flags) = (&raw const signals as usize, O_CLOEXEC as usize);
    // SAFETY: the set is SIZE bytes long, and outlives the call.
    let fd =
        super::check(unsafe { super::raw::syscall4(__NR_signalfd4 as usize, usize::MAX, set, SIZE, flags) })?;
    // SAFETY: the kernel has just created it, and it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Waits for the next signal from a signalfd of [`descriptor`], receives it and returns its number.
pub(crate) fn take(signals: &OwnedFd) -> Result<i32> {
    // `struct signalfd_siginfo` of include/uapi/linux/signalfd.h begins with the signal number.
    let mut information = [0u8; 128];
    rustix::io::read(signals, &mut information)?;
    let [a, b, c, d, ..] = information;
    Ok(i32::from_ne_bytes([a, b, c, d]))
}

/// Sends a signal to a child that has not been waited for, whose PID therefore cannot be that of another process: by
/// kill(2) if a seccomp filter denies [`send`], so that a child can always be killed before it is waited for.
pub(crate) fn send_to_child(pid: Pid, process: &OwnedFd, signal: i32) -> Result<()> {
    match send(process, signal) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            let (pid, number) = (pid.as_raw_nonzero().get() as usize, signal as usize);
            // SAFETY: takes no pointer.
            super::check(unsafe { super::raw::syscall2(__NR_kill as usize, pid, number) }).map(drop)
        }
        sent => sent,
    }
}

/// Sends a signal, by number, to the process of a pidfd (pidfd_send_signal(2), linux 5.1). The function of rustix does
/// not support real-time signals. Signal 0 only checks whether the process exists.
pub(crate) fn send(process: &OwnedFd, signal: i32) -> Result<()> {
    let (fd, number) = (process.as_raw_fd() as usize, signal as usize);
    // SAFETY: siginfo is null, so no pointer is passed.
    super::check(unsafe { super::raw::syscall4(__NR_pidfd_send_signal as usize, fd, number, 0, 0) }).map(drop)
}
