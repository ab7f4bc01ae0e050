//! Pseudoterminals (pty(7), ioctl_tty(2), termios(3)).

#![allow(unsafe_code)]

use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::check;

const OPEN: i32 = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;

/// Opens a new PTY master.
pub fn open() -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(i64::from(unsafe { libc::posix_openpt(OPEN) }))?;
    // SAFETY: the kernel returned this file descriptor to this call only.
    let master = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::unlockpt(master.as_raw_fd()) }))?;
    Ok(master)
}

/// Opens the PTY slave of a master.
pub fn peer(master: &OwnedFd) -> Result<OwnedFd> {
    // SAFETY: this request takes flags, no pointer.
    let fd = check(i64::from(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, OPEN) }))?;
    // SAFETY: the kernel returned this file descriptor to this call only.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Rows and columns.
pub fn size(fd: RawFd) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::ioctl(fd, libc::TIOCGWINSZ as _, &raw mut size) }))?;
    Ok((size.ws_row, size.ws_col))
}

/// Adds a byte to the input of a terminal (TIOCSTI).
pub fn push_input(fd: RawFd, byte: u8) -> Result<()> {
    // SAFETY: one byte that outlives the call.
    check(i64::from(unsafe { libc::ioctl(fd, libc::TIOCSTI as _, &raw const byte) })).map(drop)
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

/// All modes, and the control characters that the kernel has, for comparison.
pub fn modes(fd: RawFd) -> Result<([u32; 4], [u8; 19])> {
    let all = attributes(fd)?;
    let mut characters = [0; 19];
    characters.iter_mut().zip(all.c_cc).for_each(|(to, from)| *to = from);
    Ok(([all.c_iflag, all.c_oflag, all.c_cflag, all.c_lflag], characters))
}

/// Whether input is unbuffered and neither echoed nor translated.
pub fn is_raw(fd: RawFd) -> Result<bool> {
    let ([input, output, _, local], _) = modes(fd)?;
    let cooked = libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN;
    Ok(input & (libc::ICRNL | libc::IXON) == 0 && output & libc::OPOST == 0 && local & cooked == 0)
}

pub fn set_raw(fd: RawFd) -> Result<()> {
    let mut all = attributes(fd)?;
    // SAFETY: changes only the structure.
    unsafe { libc::cfmakeraw(&raw mut all) };
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const all) })).map(drop)
}

/// Toggles local modes.
pub fn toggle_local(fd: RawFd, bits: u32) -> Result<()> {
    let mut all = attributes(fd)?;
    all.c_lflag ^= bits;
    // SAFETY: one structure that outlives the call.
    check(i64::from(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &raw const all) })).map(drop)
}

/// Becomes the leader of a new session whose controlling terminal is the standard input. For a child before exec.
pub fn set_controlling_terminal() -> Result<()> {
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::setsid() }))?;
    // SAFETY: this request takes a number, no pointer.
    check(i64::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) })).map(drop)
}

/// The session and the foreground process group of a terminal, for a process of that session.
pub fn session_and_group(fd: RawFd) -> Result<(i32, i32)> {
    // SAFETY: takes no pointer.
    let session = check(i64::from(unsafe { libc::tcgetsid(fd) }))?;
    // SAFETY: takes no pointer.
    let group = check(i64::from(unsafe { libc::tcgetpgrp(fd) }))?;
    Ok((session as i32, group as i32))
}

/// Sets or clears O_NONBLOCK, for all processes that share the open file description.
pub fn set_blocking(fd: RawFd, blocking: bool) -> Result<()> {
    // SAFETY: takes no pointer.
    let flags = check(i64::from(unsafe { libc::fcntl(fd, libc::F_GETFL) }))? as i32;
    let flags = if blocking { flags & !libc::O_NONBLOCK } else { flags | libc::O_NONBLOCK };
    // SAFETY: takes no pointer.
    check(i64::from(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) })).map(drop)
}

/// Waits until the file descriptor is readable or, if `writes`, writable; returns which of them it is.
pub fn poll(fd: RawFd, writes: bool, limit: i32) -> Result<(bool, bool)> {
    let events = if writes { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one pollfd that outlives the call.
    check(i64::from(unsafe { libc::poll(&raw mut poll, 1, limit) }))?;
    Ok((poll.revents & libc::POLLIN != 0, poll.revents & libc::POLLOUT != 0))
}
