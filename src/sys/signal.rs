//! Signals without handlers: blocked, and taken one by one (rt_sigprocmask(2), rt_sigtimedwait(2)).

use linux_raw_sys::general::{
    __NR_pidfd_send_signal, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigtimedwait, __NR_signalfd4,
    O_CLOEXEC, SIG_SETMASK,
};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Result;

/// A child has ended.
pub const SIGCHLD: i32 = linux_raw_sys::general::SIGCHLD as i32;
/// Signals by name, without SIG; the index is the number (signal(7), x86, arm and riscv).
pub static NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A set of signals as the kernel has it: bit n-1 is signal n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    /// Every signal. SIGKILL and SIGSTOP cannot be blocked; the kernel ignores them here.
    pub const ALL: Set = Set(u64::MAX);
    /// None.
    pub const NONE: Set = Set(0);
}

/// The kernel wants the size of its own set, whatever the C library's.
const SIZE: usize = size_of::<u64>();

/// Blocks exactly these signals; gives the set blocked before.
pub fn block(signals: Set) -> Result<Set> {
    let mut old = Set::NONE;
    let (new, how) = (&raw const signals as usize, SIG_SETMASK as usize);
    // SAFETY: both sets are eight bytes long, as is said, and outlive the call.
    let returned =
        unsafe { sc::syscall4(__NR_rt_sigprocmask as usize, how, new, &raw mut old as usize, SIZE) };
    super::check(returned).map(|_| old)
}

/// Gives a signal its default action (rt_sigaction(2)).
pub fn set_default(signal: i32) -> Result<()> {
    // `struct kernel_sigaction` is four words at most on every port, and SIG_DFL without flags all zero.
    let action = [0u64; 4];
    let (number, new) = (signal as usize, &raw const action as usize);
    // SAFETY: the structure is at least as long as the kernel's and outlives the call; no old one is asked
    // for; the set in it is eight bytes long, as is said.
    super::check(unsafe { sc::syscall4(__NR_rt_sigaction as usize, number, new, 0, SIZE) }).map(drop)
}

/// Waits for one of these signals, which must be blocked, and takes it: its number.
pub fn wait(signals: Set) -> Result<i32> {
    let set = &raw const signals as usize;
    // SAFETY: the set is eight bytes long, as is said; neither siginfo nor a timeout is asked for.
    let returned = unsafe { sc::syscall4(__NR_rt_sigtimedwait as usize, set, 0, 0, SIZE) };
    super::check(returned).map(|signal| signal as i32)
}

/// A descriptor from which these signals, which must be blocked, are taken (signalfd(2); SFD_CLOEXEC is
/// O_CLOEXEC).
pub fn descriptor(signals: Set) -> Result<OwnedFd> {
    let (set, flags) = (&raw const signals as usize, O_CLOEXEC as usize);
    // SAFETY: the set is eight bytes long, as is said, and outlives the call.
    let fd = super::check(unsafe { sc::syscall4(__NR_signalfd4 as usize, usize::MAX, set, SIZE, flags) })?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Takes the next signal from a descriptor of [`descriptor`]; waits for it.
pub fn take(signals: &OwnedFd) -> Result<i32> {
    // `struct signalfd_siginfo` of include/uapi/linux/signalfd.h begins with the number.
    let mut information = [0u8; 128];
    rustix::io::read(signals, &mut information)?;
    let [a, b, c, d, ..] = information;
    Ok(i32::from_ne_bytes([a, b, c, d]))
}

/// Sends a signal, by number, to the process a pidfd names (pidfd_send_signal(2), linux 5.1). rustix's own
/// call knows no real-time signals. Signal 0 only asks whether the process is there.
pub fn send(process: &OwnedFd, signal: i32) -> Result<()> {
    let (fd, number) = (process.as_raw_fd() as usize, signal as usize);
    // SAFETY: no siginfo is given, so no pointer.
    super::check(unsafe { sc::syscall4(__NR_pidfd_send_signal as usize, fd, number, 0, 0) }).map(drop)
}
