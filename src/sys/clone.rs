//! clone3(2), used like fork(2): the child has a copy of the memory, and its function does not return. If clone3 is
//! denied, clone(2): sandboxes often deny clone3 because a seccomp filter cannot inspect its flags (docker's returns
//! ENOSYS).

use core::convert::Infallible;
use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_clone3, __NR_exit, __NR_exit_group, __NR_unshare, CLONE_INTO_CGROUP, CLONE_PIDFD, CSIGNAL,
    clone_args,
};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, Result, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::pidfd::reap;

/// Runs `child` in a new process with the namespaces of `flags` (`CLONE_NEW*`, `CLONE_PARENT`), and in the cgroup v2
/// directory `cgroup`, if any (linux 5.7). Returns its PID and a pidfd.
///
/// The child shares only open files with this process. `child` does not return, as its type shows. It runs in a copy of
/// a process that may have had other threads, so it must not allocate memory. Until it executes a program it has no
/// exit signal: see `pidfd::has_executed`, and `pidfd::reap` to wait for it.
///
/// Errors: those of clone3(2); EAGAIN also if `pids.max` of the cgroup is reached. If clone3 is denied, and `flags`
/// contains CLONE_NEWTIME, which clone(2) does not support, the error is that of clone3.
pub(crate) fn spawn(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> Infallible,
) -> Result<(Pid, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let arguments = clone_args {
        flags: flags | u64::from(CLONE_PIDFD) | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 },
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: the arguments and `pidfd` outlive the call. Without CLONE_VM the child continues on its own copy of this
    // stack, and without CLONE_SETTLS it uses its own copy of the thread-local storage.
    let returned = unsafe {
        super::raw::syscall2(__NR_clone3 as usize, &raw const arguments as usize, size_of::<clone_args>())
    };
    let mut entry = None;
    let returned = match super::check(returned) {
        // EINVAL, too, may be of a seccomp filter. If it was not clone3 itself that was denied, clone fails in the same
        // way.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) if flags & !u64::from(!CSIGNAL) == 0 => {
            entry = cgroup.map(CgroupEntry::open).transpose()?;
            let flags = flags as usize | CLONE_PIDFD as usize;
            // SAFETY: as above.
            super::check(unsafe { super::raw::clone(flags, &raw mut pidfd as usize) })
        }
        other => other,
    };
    match returned? {
        0 => {
            if let Some(entry) = entry {
                entry.enter();
            }
            #[allow(unreachable_code)] // `child` does not return, and `!` as its type is not stable Rust.
            match child() {}
        }
        pid => {
            // Before linux 5.2 CLONE_PIDFD was ignored.
            let pid = Pid::from_raw(pid as i32).filter(|_| pidfd >= 0).ok_or(Errno::SRCH)?;
            // SAFETY: the kernel has stored a new file descriptor there, which has no other owner.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            entry.map_or(Ok(()), |entry| entry.wait(&pidfd))?;
            Ok((pid, pidfd))
        }
    }
}

/// The means of a child to enter its cgroup, where clone(2) cannot create it: `cgroup.procs`, and a pipe for its error.
struct CgroupEntry {
    processes: OwnedFd,
    error_reader: OwnedFd,
    error_writer: OwnedFd,
}

impl CgroupEntry {
    /// Opens `cgroup.procs` and the pipe in the parent: the kernel checks the credentials with which the file was
    /// opened.
    #[cold]
    fn open(directory: BorrowedFd<'_>) -> Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let processes = openat(directory, c"cgroup.procs", flags, Mode::empty())?;
        let (error_reader, error_writer) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(CgroupEntry { processes, error_reader, error_writer })
    }

    /// The first step of the child: enters the cgroup, or sends the error and exits.
    #[cold]
    fn enter(self) {
        if let Err(errno) = write(&self.processes, b"0") {
            let _ = write(&self.error_writer, &[errno.raw_os_error() as u8]);
            exit(1);
        }
    }

    /// Waits in the parent until the child has entered the cgroup, or returns the error that the child has sent.
    #[cold]
    fn wait(self, child: &OwnedFd) -> Result<()> {
        drop(self.error_writer);
        let mut errno = [0u8];
        while let Err(Errno::INTR) = read(&self.error_reader, &mut errno) {}
        match errno {
            [0] => Ok(()),
            [errno] => {
                reap(child);
                Err(Errno::from_raw_os_error(errno.into()))
            }
        }
    }
}

/// Moves this process into new namespaces (unshare(2)); `flags` are `CLONE_NEW*`.
pub(crate) fn unshare(flags: u32) -> Result<()> {
    // SAFETY: CLONE_FILES and CLONE_FS are not among the flags used, so other threads are not affected.
    super::check(unsafe { super::raw::syscall1(__NR_unshare as usize, flags as usize) }).map(drop)
}

/// Ends the process immediately, as _exit(2).
///
/// This works under any seccomp filter: if it denies exit_group, exit ends a single-threaded process as well; if it
/// denies both, an invalid instruction does, by which the process is killed with SIGILL.
pub fn exit(code: i32) -> ! {
    for call in [__NR_exit_group, __NR_exit] {
        // SAFETY: takes no pointer.
        unsafe { super::raw::syscall1(call as usize, code as usize) };
    }
    trap()
}

/// Executes an invalid instruction. The kernel forces its signal on the process, so that it kills even if it is blocked
/// or ignored, or if the process is the init of a pid namespace (`force_sig_info_to_task` of kernel/signal.c).
#[cold]
#[inline(never)]
pub fn trap() -> ! {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    // SAFETY: accesses no memory, and does not return.
    unsafe {
        core::arch::asm!("ud2", options(noreturn, nomem, nostack))
    }
    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("udf #0", options(noreturn, nomem, nostack))
    }
    #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("unimp", options(noreturn, nomem, nostack))
    }
    #[cfg(any(target_arch = "powerpc64", target_arch = "s390x"))]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(".long 0", options(noreturn, nomem, nostack))
    }
}
