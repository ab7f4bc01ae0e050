//! File descriptors by number: close_range(2), and those that this process has inherited.

use linux_raw_sys::general::{__NR_close, __NR_close_range, __NR_fcntl, F_GETFD, F_SETOWN};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{Errno, FdFlags, Result, fcntl_getfd};

/// Closes all file descriptors from `first` on except those in `keep`, which is sorted for it (close_range(2),
/// linux 5.9).
///
/// Only for the child of a clone, before execve: its copies of `OwnedFd`s must not be used or dropped afterwards.
pub(crate) fn close_all_from(first: RawFd, keep: &mut [RawFd]) -> Result<()> {
    keep.sort_unstable();
    let mut from = first;
    for fd in keep.iter().copied().filter(|fd| *fd >= first) {
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = fd + 1;
    }
    close_range(from, RawFd::MAX)
}

/// Before linux 5.9 file descriptors are closed one by one up to this number, which is above any default limit of open
/// files. The current limit is no indication: it may already be the container's, and lower than numbers that are open.
const ENOUGH: RawFd = 1 << 20;

/// Closes file descriptors by their numbers, including `to`.
fn close_range(from: RawFd, to: RawFd) -> Result<()> {
    // SAFETY: takes no pointer; see close_all_from for the owners.
    match super::check(unsafe {
        super::raw::syscall3(__NR_close_range as usize, from as usize, to as usize, 0)
    }) {
        // EPERM, EINVAL: a seccomp filter that is older than the system call.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            for number in from..=to.min(ENOUGH) {
                // SAFETY: as above.
                unsafe { super::raw::syscall1(__NR_close as usize, number as usize) };
            }
            Ok(())
        }
        closed => closed.map(drop),
    }
}

/// Closes file descriptors; runs of consecutive numbers by one call each.
pub(crate) fn close_together(fds: impl Iterator<Item = OwnedFd>) {
    close_numbers(fds.map(IntoRawFd::into_raw_fd));
}

fn close_numbers(numbers: impl Iterator<Item = RawFd>) {
    let mut range: Option<(RawFd, RawFd)> = None;
    // The caller owned each file descriptor of the range and has given it up.
    let close = |(first, last)| {
        let _ = close_range(first, last);
    };
    for number in numbers {
        match &mut range {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => drop(range.replace((number, number)).map(close)),
        }
    }
    range.map(close);
}

/// Closes the child's copy of a file descriptor that its parent owns. Only for the child of a clone, which never drops
/// what it has inherited from its parent.
pub(crate) fn close_in_child(fd: BorrowedFd<'_>) {
    // SAFETY: takes no pointer; the child's owner of the number is never used or dropped again.
    unsafe { super::raw::syscall1(__NR_close as usize, fd.as_raw_fd() as usize) };
}

/// Closes the child's copies of several file descriptors, as [`close_in_child`]; runs of consecutive numbers by one
/// call each.
pub(crate) fn close_all_in_child<'f>(fds: impl Iterator<Item = BorrowedFd<'f>>) {
    close_numbers(fds.map(|fd| fd.as_raw_fd()));
}

/// Requests SIGIO for this process whenever `fd` becomes readable (fcntl(2), F_SETOWN; O_ASYNC).
pub(crate) fn signal_when_readable(fd: &OwnedFd) -> Result<()> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: takes no pointer.
    let owned = unsafe {
        super::raw::syscall3(__NR_fcntl as usize, fd.as_raw_fd() as usize, F_SETOWN as usize, pid as usize)
    };
    super::check(owned)?;
    fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::ASYNC)
}

/// A file descriptor that the process has inherited (0, 1, 2, --preserve-fds, LISTEN_FDS); `None` if it is not open.
pub(crate) fn inherited(number: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: takes no pointer.
    super::check(unsafe { super::raw::syscall3(__NR_fcntl as usize, number as usize, F_GETFD as usize, 0) })
        .ok()?;
    // SAFETY: it is open, and mote closes only file descriptors that it has opened itself.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Whether this process has inherited a file descriptor of any number. Those that it has opened itself, except the
/// standard ones, are closed by execve(2).
fn is_inherited(number: RawFd) -> bool {
    inherited(number).is_some_and(|fd| fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC)))
}

/// Takes the ownership of a file descriptor that this process has inherited.
pub fn take_inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: it is open, and as it is inherited it has no other owner.
    is_inherited(number).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// The number of file descriptors that are open from 3 on without a gap. open(2) returns the lowest free number. So if
/// this is called before the program has opened a file, all of them are inherited; and as long as it closes none of
/// them, no file of its own is among these numbers.
pub fn count_passed() -> u32 {
    let open = (3..).take_while(|number| inherited(*number).is_some());
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}

/// Standard output; `None` if it is closed.
pub fn stdout() -> Option<BorrowedFd<'static>> {
    inherited(1)
}

/// Standard error; `None` if it is closed.
pub fn stderr() -> Option<BorrowedFd<'static>> {
    inherited(2)
}

/// Opens /dev/null in place of standard file descriptors that are closed: otherwise the next file that is opened would
/// get such a number, and the container would inherit it, for instance as its standard output.
///
/// Errors: those of open(2).
pub(crate) fn fill_standard() -> Result<()> {
    // SAFETY: the numbers are only passed to poll(2), which returns POLLNVAL for one that is not open.
    let standard = [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let mut fds = standard.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, Some(&now)) {
        // EINVAL: three exceeds RLIMIT_NOFILE (poll(2)), so no file can get one of these numbers.
        Ok(0) | Err(Errno::INVAL) => return Ok(()),
        ready => ready?,
    };
    for _ in fds.iter().filter(|fd| fd.revents().contains(PollFlags::NVAL)) {
        // open(2) returns the lowest free number.
        core::mem::forget(open(c"/dev/null", OFlags::RDWR, Mode::empty())?);
    }
    Ok(())
}
