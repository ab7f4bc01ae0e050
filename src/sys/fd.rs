//! Descriptors by number: close_range(2), and those this process was started with.

use linux_raw_sys::general::{__NR_close, __NR_close_range, __NR_fcntl, F_GETFD};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, Result};

/// `CLOSE_RANGE_CLOEXEC` of include/uapi/linux/close_range.h.
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Marks every descriptor from `first` on close-on-exec (close_range(2), linux 5.11).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    let flags = CLOSE_RANGE_CLOEXEC as usize;
    // SAFETY: takes no pointer, and closes nothing now.
    let returned = unsafe { sc::syscall3(__NR_close_range as usize, first as usize, u32::MAX as usize, flags) };
    match super::check(returned) {
        Err(Errno::NOSYS | Errno::INVAL) => one_by_one(first),
        other => other.map(drop),
    }
}

/// Before linux 5.11: every number up to the limit of open files, since /proc may not be there to list them.
fn one_by_one(first: u32) -> Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    for number in first..u32::try_from(limit).unwrap_or(1 << 20) {
        if let Some(fd) = inherited(number as RawFd) {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

/// Closes the child's copy of a descriptor that its parent owns. Only for the child of a clone: it never
/// drops what it has from its parent, and must not free memory.
pub fn close_in_child(fd: BorrowedFd<'_>) {
    // SAFETY: takes no pointer; the child's owner of the number is never used or dropped again.
    unsafe { sc::syscall1(__NR_close as usize, fd.as_raw_fd() as usize) };
}

/// A descriptor the process was started with (0, 1, 2, --preserve-fds, LISTEN_FDS), if it is open.
pub fn inherited(number: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: takes no pointer.
    super::check(unsafe { sc::syscall3(__NR_fcntl as usize, number as usize, F_GETFD as usize, 0) }).ok()?;
    // SAFETY: it is open, and mote closes only descriptors it opened itself.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Standard output, if it is open.
pub fn stdout() -> Option<BorrowedFd<'static>> {
    inherited(1)
}

/// Standard error, if it is open.
pub fn stderr() -> Option<BorrowedFd<'static>> {
    inherited(2)
}

/// Opens /dev/null in place of those of the standard three that are closed: the next thing opened would
/// take their numbers, and be handed to the container as its standard output.
pub fn fill_standard() {
    // SAFETY: descriptors are only looked at, and poll(2) answers POLLNVAL for one that is not open.
    let standard = [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let mut fds = standard.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready == 0) {
        return;
    }
    for fd in &fds {
        if fd.revents().contains(PollFlags::NVAL)
            && let Ok(null) = open(c"/dev/null", OFlags::RDWR, Mode::empty())
        {
            core::mem::forget(null);
        }
    }
}
