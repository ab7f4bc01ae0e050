//! The listener of `--console-socket` and `--pidfd-socket`: receives the file descriptor that mote sends.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use crate::check::{Outcome, fail, holds};
use crate::command::LIMIT;
use crate::rig::Rig;
use crate::sys;

pub struct Socket {
    listener: UnixListener,
    pub path: String,
}

impl Socket {
    /// Listens in the directory of the test.
    pub fn new(rig: &Rig, name: &str) -> Outcome<Socket> {
        let path = rig.dir.join(name);
        let listener = UnixListener::bind(&path)?;
        if let Some(user) = rig.user {
            sys::chown(&path, user, user)?;
        }
        Ok(Socket { listener, path: path.display().to_string() })
    }

    /// Receives exactly one file descriptor, and the text with it.
    pub fn receive(&self) -> Outcome<(OwnedFd, String)> {
        holds("mote connects", sys::readable(&self.listener, LIMIT)?)?;
        let (stream, _) = self.listener.accept()?;
        holds("a message arrives", sys::readable(&stream, LIMIT)?)?;
        let (mut fds, text) = sys::unix_socket::receive(&stream)?;
        match (fds.pop(), fds.is_empty()) {
            (Some(fd), true) => Ok((fd, text)),
            _ => fail("not one descriptor"),
        }
    }
}

/// The PID of a pidfd, from /proc.
pub fn pid_of(pidfd: &OwnedFd) -> Outcome<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path)?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    Ok(pid.unwrap_or("").trim().parse()?)
}
