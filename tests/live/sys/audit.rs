//! The kernel's audit log as it is told to everybody who may hear it (AUDIT_NLGRP_READLOG of linux/audit.h).

#![allow(unsafe_code)]

use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{check, readable};

/// A line to it.
pub struct Log(OwnedFd);

impl Log {
    /// Hears all that is logged from here on. It is there for CAP_AUDIT_READ in the machine's own namespaces, and not
    /// where the kernel was started with `audit=0`.
    pub fn open() -> Result<Log> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: socket(2) takes no pointer, and what it gives is nobody else's.
        let socket = unsafe {
            let number = check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_AUDIT).into())?;
            OwnedFd::from_raw_fd(number as i32)
        };
        // SAFETY: all zeroes are an address; bind(2) reads as much of it as it is told.
        check(unsafe {
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            address.nl_groups = 1;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32).into()
        })?;
        Ok(Log(socket))
    }

    /// The next record, as text; `None` when there is none for so long.
    pub fn next(&self, limit: Duration) -> Result<Option<String>> {
        if !readable(&self.0, limit)? {
            return Ok(None);
        }
        let mut space = [0u8; 9000];
        // SAFETY: as long as it is said to be.
        let count = check(unsafe {
            libc::recv(self.0.as_raw_fd(), space.as_mut_ptr().cast(), space.len(), 0) as i64
        })?;
        // Behind the header, struct nlmsghdr.
        Ok(Some(String::from_utf8_lossy(space.get(16..count as usize).unwrap_or_default()).into_owned()))
    }
}
