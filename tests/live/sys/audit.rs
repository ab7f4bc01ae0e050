//! The multicast group of the kernel's audit log (AUDIT_NLGRP_READLOG of linux/audit.h).

#![allow(unsafe_code)]

use std::io::Result;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{check, readable};

/// A socket in the multicast group.
pub struct Log(OwnedFd);

impl Log {
    /// Receives all records from now on. This needs CAP_AUDIT_READ in the initial namespaces, and fails if the
    /// kernel was started with `audit=0`.
    pub fn open() -> Result<Log> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: socket(2) takes no pointer and returns a new file descriptor.
        let socket = unsafe {
            let number = check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_AUDIT))?;
            OwnedFd::from_raw_fd(number)
        };
        // SAFETY: an address of zeroes is valid; bind(2) reads as many bytes as given.
        check(unsafe {
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            address.nl_groups = 1;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32)
        })?;
        Ok(Log(socket))
    }

    /// The next record as text; `None` if there is none within the time limit.
    pub fn next(&self, limit: Duration) -> Result<Option<String>> {
        if !readable(&self.0, limit)? {
            return Ok(None);
        }
        let mut space = [0u8; 9000];
        // SAFETY: the buffer has the length given.
        let count = check(unsafe {
            libc::recv(self.0.as_raw_fd(), space.as_mut_ptr().cast(), space.len(), 0) as i64
        })?;
        // The text follows the header, struct nlmsghdr.
        Ok(Some(String::from_utf8_lossy(space.get(16..count as usize).unwrap_or_default()).into_owned()))
    }
}
