//! A message on a stream socket: a header of four numbers, the file descriptors, and the bytes.

use alloc::vec;
use alloc::vec::Vec;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::wire::Encoder;
use crate::error::{Error, On, Result};
use crate::os::scm_rights::{MANY, receive_text, send_many};

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of the operation, or of the kind of a report.
    pub kind: u32,
    /// The length in bytes.
    length: u32,
    /// The number of the file descriptors that a container inherits, the first of the message.
    pub passed: u32,
    /// The number of the others.
    fds: u32,
}

/// The length of a header.
const HEADER: usize = 16;

/// The file descriptors of a message, in order, and its bytes.
pub(crate) type Content = (Vec<Option<OwnedFd>>, Vec<u8>);

/// Sends a message.
pub(crate) fn send_message(socket: BorrowedFd<'_>, kind: u32, content: &Encoder) -> Result<()> {
    let Encoder { bytes, passed, fds, .. } = content;
    let too_long = |_| Error::invalid(format_args!("a message is longer than 4 GiB"));
    let length = u32::try_from(bytes.len()).map_err(too_long)?;
    let header = [kind, length, passed.len() as u32, fds.len() as u32];
    let header = header.map(u32::to_ne_bytes);
    let header = header.as_flattened();
    if passed.is_empty() && fds.is_empty() {
        // By one call, so that `peek` finds a short message as a whole.
        return send_all(socket, &[header, bytes].concat());
    }
    send_all(socket, header)?;
    let all: Vec<BorrowedFd<'_>> = passed.iter().chain(fds).map(AsFd::as_fd).collect();
    for some in all.chunks(MANY) {
        retry(|| send_many(socket, some))?;
    }
    send_all(socket, bytes)
}

/// Receives the header of a message; `None` at end of file.
pub(crate) fn receive_header(socket: BorrowedFd<'_>) -> Result<Option<Header>> {
    let mut bytes = [0; HEADER];
    match receive_all(socket, &mut bytes)? {
        HEADER => {}
        _ => return Ok(None),
    }
    let (numbers, _) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|number| u32::from_ne_bytes(*number));
    let mut next = || numbers.next().unwrap_or_default();
    Ok(Some(Header { kind: next(), length: next(), passed: next(), fds: next() }))
}

/// Receives the content of a message.
pub(crate) fn receive_content(socket: BorrowedFd<'_>, header: &Header) -> Result<Content> {
    let count = header.passed.saturating_add(header.fds) as usize;
    let mut fds = Vec::new();
    while fds.len() < count {
        let mut some: Vec<Option<OwnedFd>> = (0..MANY.min(count - fds.len())).map(|_| None).collect();
        retry(|| receive_text(socket, &mut [0], &mut some))?;
        if some.iter().any(Option::is_none) {
            // The limit of open files was reached (unix(7)).
            return Err(Error::system(Errno::MFILE, format_args!("recvmsg SCM_RIGHTS")));
        }
        fds.append(&mut some);
    }
    let mut bytes = vec![0; header.length as usize];
    match receive_all(socket, &mut bytes)? == bytes.len() {
        true => Ok((fds, bytes)),
        false => Err(Error::system(Errno::CONNRESET, format_args!("recvfrom"))),
    }
}

/// The bytes of the next message, which has no file descriptors and with its header the length of `message`. The message
/// remains to be received. `None` at end of file.
pub(crate) fn peek<'m>(socket: BorrowedFd<'_>, message: &'m mut [u8]) -> Result<Option<&'m [u8]>> {
    let flags = RecvFlags::PEEK | RecvFlags::WAITALL;
    let received = rustix::io::retry_on_intr(|| recv(socket, &mut *message, flags));
    let (length, _) = received.on(format_args!("recvfrom"))?;
    Ok((length == message.len()).then_some(message).and_then(|message| message.get(HEADER..)))
}

fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let sent = rustix::io::retry_on_intr(|| send(socket, bytes, SendFlags::NOSIGNAL));
        bytes = bytes.get(sent.on(format_args!("sendto"))?..).unwrap_or_default();
    }
    Ok(())
}

/// Receives until the buffer is full, or to the end of file; returns the length.
fn receive_all(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize> {
    let mut length = 0;
    while let Some(space @ [_, ..]) = bytes.get_mut(length..) {
        match rustix::io::retry_on_intr(|| recv(socket, &mut *space, RecvFlags::empty())) {
            Ok((0, _)) | Err(Errno::CONNRESET) => break,
            received => length += received.on(format_args!("recvfrom"))?.0,
        }
    }
    Ok(length)
}

/// Repeats a call that a signal handler of the program has interrupted.
fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.is(Errno::INTR) => {}
            done => return done,
        }
    }
}
