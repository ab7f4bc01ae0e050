//! Terminals (pty(7), ioctl_tty(2), termios(3)).

#![allow(unsafe_code)]

use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::check;

const OPEN: i32 = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;

/// A new one: the master.
pub fn open() -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(i64::from(unsafe { libc::posix_openpt(OPEN) }))?;
    // SAFETY: the kernel has just made this descriptor for us.
    let master = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::unlockpt(master.as_raw_fd()) }))?;
    Ok(master)
}

/// The other side of a master.
pub fn peer(master: &OwnedFd) -> Result<OwnedFd> {
    // SAFETY: this request takes flags, no pointer.
    let fd = check(i64::from(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, OPEN) }))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Rows and columns.
pub fn size(fd: RawFd) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::ioctl(fd, libc::TIOCGWINSZ as _, &raw mut size) }))?;
    Ok((size.ws_row, size.ws_col))
}

pub fn set_size(fd: RawFd, (rows, columns): (u16, u16)) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ as _, &raw const size) })).map(drop)
}

fn attributes(fd: RawFd) -> Result<libc::termios> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: room for one structure, which outlives the call.
    check(i64::from(unsafe { libc::tcgetattr(fd, attributes.as_mut_ptr()) }))?;
    // SAFETY: the call has filled it.
    Ok(unsafe { attributes.assume_init() })
}

/// All modes, and the control characters that the kernel knows, to be compared.
pub fn modes(fd: RawFd) -> Result<([u32; 4], [u8; 19])> {
    let all = attributes(fd)?;
    let mut characters = [0; 19];
    characters.iter_mut().zip(all.c_cc).for_each(|(to, from)| *to = from);
    Ok(([all.c_iflag, all.c_oflag, all.c_cflag, all.c_lflag], characters))
}

/// Whether every key goes through as it is and nothing is echoed or added.
pub fn is_raw(fd: RawFd) -> Result<bool> {
    let ([input, output, _, local], _) = modes(fd)?;
    let cooked = libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN;
    Ok(input & (libc::ICRNL | libc::IXON) == 0 && output & libc::OPOST == 0 && local & cooked == 0)
}

pub fn set_raw(fd: RawFd) -> Result<()> {
    let mut all = attributes(fd)?;
    // SAFETY: changes the structure alone.
    unsafe { libc::cfmakeraw(&raw mut all) };
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const all) })).map(drop)
}

/// Changes the local modes by some bits that are on.
pub fn set_local(fd: RawFd, bits: u32) -> Result<()> {
    let mut all = attributes(fd)?;
    all.c_lflag ^= bits;
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const all) })).map(drop)
}

/// Leads a new session with the standard input as its terminal. For a child before exec.
pub fn lead() -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::setsid() }))?;
    // SAFETY: this request takes a number, no pointer.
    check(i64::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) })).map(drop)
}

/// The session and the foreground group of a terminal, for who is in that session.
pub fn owners(fd: RawFd) -> Result<(i32, i32)> {
    // SAFETY: takes no pointer.
    let session = check(i64::from(unsafe { libc::tcgetsid(fd) }))?;
    // SAFETY: takes no pointer.
    let group = check(i64::from(unsafe { libc::tcgetpgrp(fd) }))?;
    Ok((session as i32, group as i32))
}

/// Whether reading and writing wait; for all that share the open file.
pub fn set_waiting(fd: RawFd, waits: bool) -> Result<()> {
    // SAFETY: takes no pointer.
    let flags = check(i64::from(unsafe { libc::fcntl(fd, libc::F_GETFL) }))? as i32;
    let flags = if waits { flags & !libc::O_NONBLOCK } else { flags | libc::O_NONBLOCK };
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) })).map(drop)
}

/// Waits until the descriptor can be read or, with something to write, written; whether which.
pub fn ready(fd: RawFd, writes: bool, limit: i32) -> Result<(bool, bool)> {
    let events = if writes { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one pollfd that outlives the call.
    check(i64::from(unsafe { libc::poll(&raw mut poll, 1, limit) }))?;
    Ok((poll.revents & libc::POLLIN != 0, poll.revents & libc::POLLOUT != 0))
}
