//! AF_UNIX sockets (unix(7)): receiving file descriptors (SCM_RIGHTS), and connecting to a SOCK_SEQPACKET socket.

#![allow(unsafe_code)]
// One SAFETY comment covers the calls for one message.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use std::io::{Read, Result};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::check;

/// Room for the header of a control message and for four file descriptors, with the alignment of the kernel's
/// structure.
const SPACE: usize = 8;

/// Connects to a SOCK_SEQPACKET socket, sends nothing, and waits until the peer has closed the connection.
pub fn connect_and_wait(path: &Path) -> Result<()> {
    // SAFETY: takes no pointer.
    let socket = check(i64::from(unsafe {
        libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: just created, without another owner.
    let socket = unsafe { UnixStream::from_raw_fd(socket as RawFd) };
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as _;
    for (place, byte) in address.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
        *place = *byte as _;
    }
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address outlives the call, and its size is given; its path is shorter, and ends with a NUL.
    check(i64::from(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) }))?;
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(crate::command::LIMIT))?;
    (&socket).read_to_end(&mut Vec::new()).map(drop)
}

/// Receives one message: the file descriptors, and the text.
pub fn receive(socket: &impl AsRawFd) -> Result<(Vec<OwnedFd>, String)> {
    let mut text = [0u8; 4096];
    let mut space = [0u64; SPACE];
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    let mut fds = Vec::new();
    // SAFETY: the message refers to one buffer and to the space, which outlive the calls; the control messages are
    // iterated as described in cmsg(3), and each file descriptor in them belongs to this process alone.
    let length = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&space) as _;
        let length =
            check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) as i64)?;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            for index in 0..bytes / size_of::<RawFd>() {
                fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
            }
        }
        length
    };
    let text = text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    Ok((fds, String::from_utf8_lossy(text).into_owned()))
}
