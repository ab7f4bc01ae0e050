//! Descriptors by number: close_range(2), and those this process was started with.

use linux_raw_sys::general::{__NR_close, __NR_close_range, __NR_fcntl, F_GETFD, F_SETOWN};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{Errno, Result};

/// Closes every descriptor from `first` on but those of `keep`, whoever opened them (close_range(2),
/// linux 5.9).
///
/// Only for the child of a clone, on its way to execve: its copies of owners are never used or dropped
/// again.
pub fn close_all_from(first: RawFd, keep: &mut [RawFd]) -> Result<()> {
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

/// Before linux 5.9 descriptors are closed up to this number, one by one: more than any limit of open
/// files is by default. The limit itself may be the container's already, and lower than what is open.
const ENOUGH: RawFd = 1 << 20;

fn close_range(from: RawFd, to: RawFd) -> Result<()> {
    // SAFETY: takes no pointer; see close_all_from for who owned them.
    match super::check(unsafe { sc::syscall3(__NR_close_range as usize, from as usize, to as usize, 0) }) {
        // EPERM: a sandbox that knows it not.
        Err(Errno::NOSYS | Errno::PERM) => {
            for number in from..to.min(ENOUGH) {
                // SAFETY: as above.
                unsafe { sc::syscall1(__NR_close as usize, number as usize) };
            }
            Ok(())
        }
        closed => closed.map(drop),
    }
}

/// Closes descriptors; those that were opened one after the other by one call.
pub fn close_together(fds: impl Iterator<Item = OwnedFd>) {
    close_numbers(fds.map(IntoRawFd::into_raw_fd));
}

fn close_numbers(numbers: impl Iterator<Item = RawFd>) {
    let mut range: Option<(RawFd, RawFd)> = None;
    // Each number of a range was an owned descriptor's, given up by the caller.
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

/// Closes the child's copy of a descriptor that its parent owns. Only for the child of a clone: it never
/// drops what it has from its parent.
pub fn close_in_child(fd: BorrowedFd<'_>) {
    // SAFETY: takes no pointer; the child's owner of the number is never used or dropped again.
    unsafe { sc::syscall1(__NR_close as usize, fd.as_raw_fd() as usize) };
}

/// The same of several; those that were opened one after the other by one call.
pub fn close_all_in_child<'f>(fds: impl Iterator<Item = BorrowedFd<'f>>) {
    close_numbers(fds.map(|fd| fd.as_raw_fd()));
}

/// Has SIGIO sent to this process whenever something comes to be read (fcntl(2), F_SETOWN; O_ASYNC).
pub fn signal_when_readable(fd: &OwnedFd) -> Result<()> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: takes no pointer.
    let owned = unsafe {
        sc::syscall3(__NR_fcntl as usize, fd.as_raw_fd() as usize, F_SETOWN as usize, pid as usize)
    };
    super::check(owned)?;
    fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::ASYNC)
}

/// A descriptor the process was started with (0, 1, 2, --preserve-fds, LISTEN_FDS), if it is open.
pub fn inherited(number: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: takes no pointer.
    super::check(unsafe { sc::syscall3(__NR_fcntl as usize, number as usize, F_GETFD as usize, 0) }).ok()?;
    // SAFETY: it is open, and mote closes only descriptors it opened itself.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// How many descriptors from 3 on are open without a gap. What a program opens gets the lowest number that is free, so before
/// it has opened any these are all its caller's, and as long as it closes none of them nothing of its own comes among them.
pub fn count_passed() -> u32 {
    let open = (3..).take_while(|number| inherited(*number).is_some());
    u32::try_from(open.count()).unwrap_or(u32::MAX)
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
///
/// Errors: those of open(2).
pub fn fill_standard() -> Result<()> {
    // SAFETY: descriptors are only looked at, and poll(2) answers POLLNVAL for one that is not open.
    let standard = [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let mut fds = standard.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, Some(&now)) {
        // EINVAL: three are more than may be open at all (poll(2)), so nothing can take their numbers.
        Ok(0) | Err(Errno::INVAL) => return Ok(()),
        ready => ready?,
    };
    for _ in fds.iter().filter(|fd| fd.revents().contains(PollFlags::NVAL)) {
        // The lowest number that is free.
        core::mem::forget(open(c"/dev/null", OFlags::RDWR, Mode::empty())?);
    }
    Ok(())
}
