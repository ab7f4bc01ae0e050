//! A connection to CRIU that runs as a service, `criu swrk FD`: one request at a time, and the notifications before its
//! reply.

use alloc::vec;
use alloc::vec::Vec;

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::message::{Kind, Reply, acknowledgement, feature_check, version};
use super::program::Version;
use super::wire::Writer;
use crate::error::{Error, Kind as ErrorKind, On, Result};
use crate::os::scm_rights::receive_text;
use crate::sys::pidfd::wait_while;

/// This process's end of the socket pair, and the process at the other.
pub struct Connection {
    socket: OwnedFd,
    pidfd: OwnedFd,
    buffer: Vec<u8>,
    /// Whether CRIU has ended.
    pub is_lost: bool,
    /// Whether a notification could not be handled, so that an error is not one of CRIU.
    pub has_refused: bool,
}

/// The largest reply, in bytes; CRIU's have some hundred, with an error message some thousand.
const LARGEST: usize = 64 * 1024;

/// The first byte of a message of [`Connection::report`], which no message of CRIU begins with: there it would be the
/// number of a field of an unknown type.
const FAILED: u8 = 0xff;

/// Handles a notification, with the file descriptor that came with it.
pub type Notify<'n> = dyn FnMut(&Reply<'_>, Option<OwnedFd>) -> Result<()> + 'n;

impl Connection {
    /// The sockets: that of a connection, and that for CRIU.
    pub fn sockets() -> Result<(OwnedFd, OwnedFd)> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (own, other) =
            socketpair(AddressFamily::UNIX, kind, flags, None).on(format_args!("socketpair"))?;
        // Only of this end: CRIU reads without it.
        ioctl_fionbio(&own, true).on(format_args!("ioctl FIONBIO"))?;
        Ok((own, other))
    }

    /// The connection to the process of a pidfd.
    pub fn new(socket: OwnedFd, pidfd: OwnedFd) -> Self {
        Connection { socket, pidfd, buffer: vec![0; LARGEST], is_lost: false, has_refused: false }
    }

    /// Closes the connection, by which CRIU gives up or exits; returns its pidfd.
    pub fn close(self) -> OwnedFd {
        self.pidfd
    }

    /// Sends a request, and returns the reply. If a notification cannot be handled, CRIU gives up, and the error is
    /// returned.
    ///
    /// Errors: [`ErrorKind::State`] if CRIU has closed the connection: it has ended.
    pub fn call(&mut self, request: &Writer, notify: &mut Notify<'_>) -> Result<Reply<'_>> {
        self.send(request)?;
        let mut failed = None;
        let length = loop {
            let (length, fd) = self.receive()?;
            let reply = Reply::decode(self.buffer.get(..length).unwrap_or_default()).ok_or_else(malformed)?;
            if reply.kind != Kind::Notify as u64 {
                break length;
            }
            let handled = if failed.is_none() { notify(&reply, fd) } else { Ok(()) };
            failed = failed.or(handled.err());
            self.has_refused = failed.is_some();
            self.send(&acknowledgement(failed.is_none()))?;
        };
        match failed {
            Some(error) => Err(error),
            None => Reply::decode(self.buffer.get(..length).unwrap_or_default()).ok_or_else(malformed),
        }
    }

    /// The version of CRIU.
    pub fn version(&mut self) -> Result<Version> {
        self.call(&version(), &mut |_, _| Ok(())).map(|reply| reply.version)
    }

    /// Fails unless CRIU and the kernel have these features: memory tracking, and pages on demand.
    pub fn check_features(&mut self, memory_tracking: bool, lazy_pages: bool) -> Result<()> {
        if !memory_tracking && !lazy_pages {
            return Ok(());
        }
        let reply = self.call(&feature_check(), &mut |_, _| Ok(()))?;
        let missing = match reply {
            Reply { has_memory_tracking: false, .. } if memory_tracking => {
                "memory tracking, which --pre-dump and --parent-path need (CONFIG_MEM_SOFT_DIRTY)"
            }
            Reply { has_lazy_pages: false, .. } if lazy_pages => {
                "pages on demand, which --lazy-pages needs (userfaultfd(2))"
            }
            _ => return Ok(()),
        };
        Err(Error::unsupported(format_args!("criu: this kernel does not support {missing}")))
    }

    /// Fails if CRIU does not work on this kernel: before it reports features, it examines the kernel.
    pub fn check_kernel(&mut self) -> Result<()> {
        self.call(&feature_check(), &mut |_, _| Ok(()))?.check("feature check")
    }

    /// Reports, in the child, why CRIU is not executed. `socket` is its end.
    pub fn report(socket: &OwnedFd, error: &Error) {
        let mut packet = [0u8; 512];
        let (kind, errno, text) = error.to_parts();
        let bytes = [FAILED, kind].into_iter().chain(errno.to_le_bytes()).chain(text.iter().copied());
        let length = packet.iter_mut().zip(bytes).map(|(place, byte)| *place = byte).count();
        let _ = send(socket, packet.get(..length).unwrap_or_default(), SendFlags::NOSIGNAL);
    }

    fn send(&self, message: &Writer) -> Result<()> {
        match send(&self.socket, message.as_bytes(), SendFlags::NOSIGNAL) {
            // CRIU has ended, which the next receive reports, perhaps with the reason.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            sent => sent.map(drop).on(format_args!("criu: sendto")),
        }
    }

    fn receive(&mut self) -> Result<(usize, Option<OwnedFd>)> {
        let mut fd = [None];
        wait_while(Some(&self.socket), &self.pidfd, None).on(format_args!("criu: poll"))?;
        let length = match receive_text(self.socket.as_fd(), &mut self.buffer, &mut fd) {
            // It was killed before it had read the request; or a process that it has started still has its end.
            Err(error) if error.is(Errno::CONNRESET) || error.is(Errno::AGAIN) => 0,
            length => length?,
        };
        let [fd] = fd;
        match self.buffer.get(..length) {
            Some([]) => {
                self.is_lost = true;
                Err(Error::new(ErrorKind::State, format_args!("criu has ended without a reply")))
            }
            Some([FAILED, kind, low, high, text @ ..]) => {
                Err(Error::from_parts(*kind, u16::from_le_bytes([*low, *high]), text))
            }
            Some(all) if all.len() < LARGEST => Ok((length, fd)),
            _ => Err(malformed()),
        }
    }
}

impl Reply<'_> {
    /// Fails if CRIU has not done what was requested.
    pub fn check(&self, what: &str) -> Result<()> {
        match (self.success, self.errno) {
            (true, _) => Ok(()),
            (false, 0) => Err(Error::new(ErrorKind::State, format_args!("criu: {what} failed"))),
            (false, errno) => {
                Err(Error::system(Errno::from_raw_os_error(errno), format_args!("criu: {what} failed")))
            }
        }
    }
}

fn malformed() -> Error {
    Error::invalid(format_args!("criu: malformed reply"))
}
