//! System calls by number with all their arguments, and the listener of a filter (seccomp_unotify(2)).

#![allow(unsafe_code)]

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};

use super::check;

/// Makes a system call that takes no pointer, or that a filter answers.
pub fn call(number: libc::c_long, arguments: [libc::c_ulong; 6]) -> Result<libc::c_long> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the calls that the tests make ignore their arguments.
    check(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Notification {
    id: u64,
    /// The process that made the call, in the pid namespace of this process.
    pub pid: u32,
    flags: u32,
    pub call: i32,
    arch: u32,
    instruction: u64,
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

pub enum Answer {
    /// The kernel executes the call.
    Continue,
    /// The call returns this value.
    Value(i64),
    Error(i32),
}

// SECCOMP_IOWR(0, struct seccomp_notif), SECCOMP_IOWR(1, struct seccomp_notif_resp)
const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;

/// The next notification; `None` if all processes with the filter have exited.
pub fn next(listener: &OwnedFd) -> Result<Option<Notification>> {
    loop {
        let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd that outlives the call.
        check(i64::from(unsafe { libc::poll(&raw mut poll, 1, 10_000) }))?;
        if poll.revents & libc::POLLIN == 0 {
            let over = poll.revents & libc::POLLHUP != 0;
            return if over { Ok(None) } else { Err(Error::from_raw_os_error(libc::ETIMEDOUT)) };
        }
        let mut notification = Notification::default();
        // SAFETY: the structure, all zeroes as the kernel demands, outlives the call.
        let received = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, &raw mut notification) };
        match check(i64::from(received)) {
            Ok(_) => return Ok(Some(notification)),
            // The process that made the call was killed before the notification was read.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Answers a notification.
pub fn answer(listener: &OwnedFd, to: &Notification, answer: Answer) -> Result<()> {
    let (value, error, flags) = match answer {
        Answer::Continue => (0, 0, 1),
        Answer::Value(value) => (value, 0, 0),
        Answer::Error(errno) => (0, -errno, 0),
    };
    let response = Response { id: to.id, value, error, flags };
    // SAFETY: the structure outlives the call.
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, &raw const response) };
    check(i64::from(sent)).map(drop)
}
