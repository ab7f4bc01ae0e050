//! Passing file descriptors to another process over an AF_UNIX socket (unix(7), SCM_RIGHTS).

use core::ffi::CStr;
use core::mem::MaybeUninit;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
};

use crate::error::{Error, On, Result};

/// Connects to the AF_UNIX socket at a path.
pub fn connect(path: &CStr, kind: SocketType) -> Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).on(format_args!("socket"))?;
    let address = SocketAddrUnix::new(path).on(format_args!("address"))?;
    rustix::net::connect(&socket, &address).on(format_args!("connect"))?;
    Ok(socket)
}

/// Sends a text of at least one byte; the file descriptor is attached to its beginning.
pub(crate) fn send(socket: BorrowedFd<'_>, text: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let mut sent = sendmsg(socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)
        .on(format_args!("sendmsg SCM_RIGHTS"))?;
    // On a stream socket a send may be partial.
    while let Some(rest @ [_, ..]) = text.get(sent..) {
        sent += rustix::net::send(socket, rest, SendFlags::NOSIGNAL).on(format_args!("sendto"))?;
    }
    Ok(())
}

/// Sends a byte with at most [`MANY`] file descriptors, in one message.
pub(crate) fn send_many(socket: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    sendmsg(socket, &[IoSlice::new(b"T")], &mut control, SendFlags::NOSIGNAL)
        .on(format_args!("sendmsg SCM_RIGHTS"))
        .map(drop)
}

/// The highest number of file descriptors in one message; the kernel's limit is 253 (`SCM_MAX_FD`).
pub(crate) const MANY: usize = 64;

/// Receives a message with one file descriptor. Errors: it has none.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut fd = [None];
    receive_many(socket, &mut fd)?;
    let [fd] = fd;
    fd.ok_or_else(|| Error::invalid(format_args!("recvmsg: no file descriptor received")))
}

/// Receives the file descriptors of a message, in order, with O_CLOEXEC. Those that do not fit in `fds` are closed.
pub(crate) fn receive_many(socket: BorrowedFd<'_>, fds: &mut [Option<OwnedFd>]) -> Result<()> {
    receive_text(socket, &mut [0u8; 64], fds).map(drop)
}

/// [`receive_many`], and the text of the message; returns its length, 0 at end of file.
#[inline(always)] // Into `receive_many`: see scripts/layout.ld.
pub(crate) fn receive_text(
    socket: BorrowedFd<'_>,
    text: &mut [u8],
    fds: &mut [Option<OwnedFd>],
) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MANY))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(text)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .on(format_args!("recvmsg"))?;
    let length = received.bytes;
    let received = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.iter_mut().zip(received.flatten()).for_each(|(place, fd)| *place = Some(fd));
    Ok(length)
}
