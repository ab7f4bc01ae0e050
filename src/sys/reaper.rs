//! Runs mote's own program for a program that links the library, without an effect on it that it could notice.
//!
//! ```text
//! calling thread          reaper                       program
//! clone(CLONE_VM) ------> closes fds
//!                         clone(CLONE_VM|CLONE_VFORK) -> execveat of a memfd
//!                         waits                          receives an operation from the socket, carries it out
//! waitid, when it has     exits <----------------------- exits
//! got the result
//! ```
//!
//! - Both clones share the memory, so their cost does not grow with it, and both processes run on a stack of their own. They make
//!   system calls only: other threads may hold locks, such as that of malloc.
//! - A process that executes a program gets SIGCHLD as its exit signal, and then its parent gets that signal, and a
//!   wait(2) for any child finds it. The reaper, the program's parent, executes nothing: it has no exit signal, and is only found
//!   with `__WALL` or `__WCLONE`.
//! - All signals are blocked in both, so that no handler of the calling program runs in them.
//! - The reaper keeps the caller's memory until the program has ended, but no file descriptor.

use core::ffi::c_char;
use core::ptr::null;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use linux_raw_sys::general::{
    __NR_dup3, __NR_execveat, __NR_fcntl, __NR_mprotect, __NR_munmap, __NR_wait4, __WALL, AT_EMPTY_PATH,
    CLONE_PIDFD, CLONE_VFORK, CLONE_VM, F_DUPFD_CLOEXEC, F_SETFD, MAP_ANONYMOUS, MAP_PRIVATE, MAP_STACK,
    PROT_NONE, PROT_READ, PROT_WRITE,
};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, Result};

use super::clone::exit;
use super::end::End;
use super::fd::close_all_from;
use super::pidfd::{reap, wait_for};
use super::signal::{Set, block};
use super::stack::clone_on_stack;
use super::{check, page_size};

/// The number of the socket in the program.
pub(crate) const SOCKET: RawFd = 3;

/// The name of the program, its only argument.
pub(crate) const NAME: &core::ffi::CStr = c"mote: library";

/// A program that runs, with the process that waits for it. Dropped, it waits for its end.
#[derive(Debug)]
pub(crate) struct Reaper {
    pidfd: OwnedFd,
    /// Until the process has ended.
    stack: Option<Stack>,
}

/// How the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has ended by itself.
    Exited,
    /// It was killed by this signal.
    Killed(i32),
    /// It could not be executed.
    NotExecuted(Errno),
    /// Another process has waited for the reaper.
    Unknown,
}

/// The exit code of the reaper if the program was killed; below are error numbers.
const KILLED: i32 = 128;

/// The memory for the stacks of both processes, with a page below that cannot be accessed.
#[derive(Debug)]
struct Stack {
    address: usize,
    length: usize,
}

/// What both processes share, at the end of their stacks.
struct Task {
    program: RawFd,
    socket: RawFd,
    /// The end of the program's stack until it is executed.
    stack_end: usize,
    /// The error number of execveat(2).
    errno: AtomicI32,
}

/// Bytes of stack for each process.
const STACK: usize = 32 << 10;

/// Executes the program in the memfd `program` in a new process, with `socket` as its file descriptor [`SOCKET`], and the
/// standard ones. Returns when it is being executed.
///
/// Errors: those of mmap(2) and clone(2).
pub(crate) fn spawn(program: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> Result<Reaper> {
    let stack = Stack::map()?;
    let end = stack.address + stack.length;
    let task = Task {
        program: program.as_raw_fd(),
        socket: socket.as_raw_fd(),
        stack_end: end - STACK,
        errno: AtomicI32::new(0),
    };
    let task = stack.keep(task);
    let mask = block(Set::ALL)?;
    let mut pidfd: RawFd = -1;
    let cloned =
        clone_on_stack(CLONE_VM | CLONE_PIDFD, task as usize & !0xf, &mut pidfd, run_reaper, task as usize);
    let _ = block(mask);
    cloned?;
    // SAFETY: the kernel has stored a new file descriptor there, which has no other owner.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Reaper { pidfd, stack: Some(stack) })
}

impl Reaper {
    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> Ended {
        let end = reap(&self.pidfd);
        let stack = self.stack.take();
        // Another thread has waited for it, or a filter denies waitid(2).
        if end.is_none() && !wait_for(&self.pidfd, None).unwrap_or(false) {
            // It is in use.
            core::mem::forget(stack);
        }
        match end {
            Some(End::Exited(0)) => Ended::Exited,
            Some(End::Exited(code)) if code < KILLED => Ended::NotExecuted(Errno::from_raw_os_error(code)),
            Some(End::Exited(code)) => Ended::Killed(code - KILLED),
            Some(End::Killed { signal, .. }) => Ended::Killed(signal),
            None => Ended::Unknown,
        }
    }

    /// The pidfd of the process that has waited, after [`Reaper::wait`].
    pub(crate) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // The memory is in use until it has ended.
        if self.stack.is_some() {
            self.wait();
        }
    }
}

impl Stack {
    fn map() -> Result<Self> {
        let length = (2 * STACK + page_size()).next_multiple_of(page_size());
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK;
        // SAFETY: a new anonymous mapping at an address chosen by the kernel; it overlaps no other.
        let mapped = unsafe { super::raw::mmap(0, length, PROT_READ | PROT_WRITE, flags, usize::MAX, 0) };
        let stack = Stack { address: check(mapped)?, length };
        // SAFETY: the first page of the mapping, which nothing uses.
        check(unsafe {
            super::raw::syscall3(__NR_mprotect as usize, stack.address, page_size(), PROT_NONE as usize)
        })?;
        Ok(stack)
    }

    /// Moves the task to the end of the stack.
    fn keep(&self, task: Task) -> *const Task {
        let place = (self.address + self.length - size_of::<Task>().next_multiple_of(64)) as *mut Task;
        // SAFETY: it is in the mapping, aligned, and nothing else uses it.
        unsafe { place.write(task) };
        place
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is not used any more: see `Reaper::drop`.
        unsafe { super::raw::syscall2(__NR_munmap as usize, self.address, self.length) };
    }
}

/// The reaper.
extern "C" fn run_reaper(task: usize) -> ! {
    // SAFETY: the address of the task, which stays until this process has ended.
    let task = unsafe { &*(task as *const Task) };
    if let Err(errno) = close_all_from(SOCKET, &mut [task.program, task.socket]) {
        exit(errno.raw_os_error());
    }
    let mut unused = -1;
    let address = core::ptr::from_ref(task) as usize;
    let cloned = clone_on_stack(CLONE_VM | CLONE_VFORK, task.stack_end & !0xf, &mut unused, execute, address);
    let pid = match cloned {
        Ok(pid) => pid,
        Err(errno) => exit(errno.raw_os_error()),
    };
    // The socket too: the caller gets end of file when the program closes its own.
    let _ = close_all_from(0, &mut []);
    let mut status = 0i32;
    loop {
        let place = &raw mut status as usize;
        // SAFETY: the status outlives the call; no resource usage is returned.
        match check(unsafe { super::raw::syscall4(__NR_wait4 as usize, pid, place, __WALL as usize, 0) }) {
            Err(Errno::INTR) => {}
            _ => break,
        }
    }
    exit(match (task.errno.load(Relaxed), End::of_status(status)) {
        (0, End::Exited(_)) => 0,
        (0, End::Killed { signal, .. }) => KILLED + signal,
        (errno, _) => errno,
    })
}

/// The process that executes the program.
extern "C" fn execute(task: usize) -> ! {
    // SAFETY: as in `run_reaper`.
    let Task { program, socket, errno, .. } = unsafe { &*(task as *const Task) };
    let moved = match *program {
        SOCKET => duplicate(SOCKET, SOCKET + 1),
        other => Ok(other),
    };
    let placed = moved.and_then(|program| inherit(*socket).map(|()| program));
    let failed = placed.map(execute_file);
    // It is lost where the memory is not shared.
    errno.store(failed.unwrap_or_else(|errno| errno).raw_os_error(), Relaxed);
    exit(1)
}

/// Duplicates a file descriptor, to a number of at least `least`.
fn duplicate(fd: RawFd, least: RawFd) -> Result<RawFd> {
    let (fd, least) = (fd as usize, least as usize);
    // SAFETY: takes no pointer.
    let new = unsafe { super::raw::syscall3(__NR_fcntl as usize, fd, F_DUPFD_CLOEXEC as usize, least) };
    check(new).map(|fd| fd as RawFd)
}

/// Makes the socket the file descriptor [`SOCKET`] of the program.
fn inherit(socket: RawFd) -> Result<()> {
    let (old, new) = (socket as usize, SOCKET as usize);
    let call = match socket {
        SOCKET => (__NR_fcntl, new, F_SETFD as usize),
        _ => (__NR_dup3, old, new),
    };
    // SAFETY: takes no pointer, and nothing in this process owns the file descriptors.
    check(unsafe { super::raw::syscall3(call.0 as usize, call.1, call.2, 0) }).map(drop)
}

/// Executes the program of a file descriptor, without environment. Returns only an error.
fn execute_file(program: RawFd) -> Errno {
    let arguments: [*const c_char; 2] = [NAME.as_ptr(), null()];
    let environment: [*const c_char; 1] = [null()];
    let (path, arguments, environment) =
        (c"".as_ptr() as usize, arguments.as_ptr() as usize, environment.as_ptr() as usize);
    let (fd, flags) = (program as usize, AT_EMPTY_PATH as usize);
    // SAFETY: all three end with a null, and outlive the call.
    let returned =
        unsafe { super::raw::syscall5(__NR_execveat as usize, fd, path, arguments, environment, flags) };
    check(returned).err().unwrap_or(Errno::NOEXEC)
}
