//! A connection to a D-Bus server (D-Bus Specification, "Authentication Protocol"). The server takes the identity of
//! the client from the socket's credentials (unix(7)). After authentication, Hello and the first calls are sent
//! together.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::address::{Address, Server};
use super::message::{Call, ERROR, RETURN, SIGNAL, Writer};
use super::read::{HEAD, Message, length};
use crate::error::{At, Error, On, OneLine, Result};
use crate::sys::time::uptime;

/// The timeout for replies, in seconds: systemd may have to start many units first.
const TIMEOUT: i64 = 30;

/// The longest message that is decoded, in bytes. Longer signals are skipped: none that is waited for is so long.
const LONGEST: usize = 1 << 16;

/// Authentication with an empty identity: the server takes that of the socket's credentials, which is correct also if
/// UIDs are mapped by a user namespace.
const AUTH: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// A connection to a D-Bus server.
pub struct Connection {
    fd: OwnedFd,
    /// The address of the server.
    pub address: Address,
    out: Vec<u8>,
    input: Vec<u8>,
    /// The number of bytes of `input` that are consumed.
    consumed: usize,
    /// The number of bytes to skip.
    skip: usize,
    serial: u32,
    /// The time of the timeout, in seconds of [`uptime`].
    end: i64,
}

/// An error reply: its name and its text.
#[derive(Debug)]
pub struct ErrorReply {
    pub name: String,
    pub text: String,
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, OneLine(self.text.as_bytes()))
    }
}

impl Connection {
    /// Connects to an address and authenticates.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        Self::connect(address).at(format_args!("{}", Server(address)))
    }

    fn connect(address: &Address) -> Result<Self> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .on(format_args!("socket"))?;
        // This also limits connect(2), which waits while the server's backlog is full.
        set_socket_timeout(&fd, Timeout::Send, Some(Duration::from_secs(TIMEOUT as u64)))
            .on(format_args!("setsockopt SO_SNDTIMEO"))?;
        let name = address.socket().on(format_args!("address"))?;
        connect(&fd, &name).on(format_args!("connect"))?;
        let (address, out, end) = (address.clone(), Vec::new(), uptime() + TIMEOUT);
        let mut connection =
            Connection { fd, address, out, input: Vec::new(), consumed: 0, skip: 0, serial: 0, end };
        // No call is sent until the authentication is complete: systemd would read both at once, and process the call
        // only when it receives more data.
        connection.send(AUTH)?;
        while !connection.authenticate_line()? {}
        if connection.address.bus {
            connection.queue(&bus("Hello", "", Writer::default()));
        }
        Ok(connection)
    }

    /// Queues a request for signals that match a rule. Without a bus all signals are received.
    pub(crate) fn add_match(&mut self, rule: &str) {
        if self.address.bus {
            let mut body = Writer::default();
            body.text(rule);
            self.queue(&bus("AddMatch", "s", body));
        }
    }

    /// Queues a call; returns its serial number.
    pub(crate) fn queue(&mut self, call: &Call) -> u32 {
        self.serial += 1;
        // Alignment is relative to the beginning of each message, so messages can be concatenated.
        self.out.append(&mut call.encode(self.serial));
        self.serial
    }

    /// Sends the queued calls, and passes received messages to `take` until that returns true. Errors: timeout,
    /// malformed messages, and those of `take`.
    pub(crate) fn receive_until(&mut self, take: &mut dyn FnMut(&Message<'_>) -> Result<bool>) -> Result<()> {
        let address = self.address.clone();
        self.flush().at(format_args!("{}", Server(&address)))?;
        loop {
            let message = self.next().at(format_args!("{}", Server(&address)))?;
            if let Some(message) = message
                && take(&message)?
            {
                return Ok(());
            }
        }
    }

    /// Waits for the reply to a queued call with the serial `number`. `read` decodes it; `None` is a malformed message.
    pub(crate) fn call_result<T>(
        &mut self,
        number: u32,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<core::result::Result<T, ErrorReply>> {
        let mut answer = None;
        self.receive_until(&mut |message| {
            answer = match message.kind {
                _ if message.reply_to != number => return Ok(false),
                RETURN => Some(Ok(read(message).ok_or_else(malformed)?)),
                ERROR => Some(Err(ErrorReply::of(message))),
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        answer.ok_or_else(malformed)
    }

    fn flush(&mut self) -> Result<()> {
        self.end = uptime() + TIMEOUT;
        self.send(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn send(&self, mut rest: &[u8]) -> Result<()> {
        while !rest.is_empty() {
            match send(&self.fd, rest, SendFlags::NOSIGNAL) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(timed_out()),
                Err(errno) => return Err(Error::system(errno, format_args!("sendto"))),
            }
        }
        Ok(())
    }

    /// Receives the next message; `None` if a message, or a part of it, was skipped.
    fn next(&mut self) -> Result<Option<Message<'_>>> {
        if self.skip > 0 {
            self.fill(1)?;
            let here = self.skip.min(self.input.len() - self.consumed);
            (self.consumed, self.skip) = (self.consumed + here, self.skip - here);
            return Ok(None);
        }
        self.fill(HEAD)?;
        let head = self.input.get(self.consumed..).unwrap_or_default();
        let length = length(head).ok_or_else(malformed)?;
        if length > LONGEST {
            // The replies to mote's calls are never so long.
            self.skip = if head.get(1) == Some(&SIGNAL) { length } else { return Err(malformed()) };
            return Ok(None);
        }
        self.fill(length)?;
        let whole = self.input.get(self.consumed..self.consumed + length).unwrap_or_default();
        self.consumed += length;
        Message::decode(whole).map(Some).ok_or_else(malformed)
    }

    /// Receives one line of the authentication; returns whether it was the last (`OK`). Errors: it is neither that nor
    /// `DATA`.
    fn authenticate_line(&mut self) -> Result<bool> {
        let mut count = 1;
        let end = loop {
            self.fill(count)?;
            let input = self.input.get(self.consumed..).unwrap_or_default();
            match input.windows(2).position(|two| two == b"\r\n") {
                Some(end) => break self.consumed + end,
                None if input.len() > 1024 => return Err(malformed()),
                None => count = input.len() + 1,
            }
        };
        let reply = self.input.get(self.consumed..end).unwrap_or_default();
        let accepted = reply.starts_with(b"OK ");
        if !accepted && !reply.starts_with(b"DATA") {
            return Err(Error::system(Errno::ACCESS, format_args!("AUTH EXTERNAL: {}", OneLine(reply))));
        }
        self.consumed = end + 2;
        Ok(accepted)
    }

    /// Reads until `count` bytes are available that are not consumed.
    fn fill(&mut self, count: usize) -> Result<()> {
        if self.input.len() - self.consumed >= count {
            return Ok(());
        }
        self.input.drain(..self.consumed);
        self.consumed = 0;
        while self.input.len() < count {
            // The timeout is for the whole reply, so unrelated messages do not extend it.
            let left = Timespec { tv_sec: self.end - uptime(), tv_nsec: 0 };
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&left)) {
                Ok(1..) if left.tv_sec > 0 => {}
                Ok(_) => return Err(timed_out()),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(Error::system(errno, format_args!("poll"))),
            }
            let mut space = [0u8; 4096];
            match recv(&self.fd, &mut space, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(Error::system(Errno::CONNRESET, format_args!("recvfrom"))),
                Ok((count, _)) => self.input.extend_from_slice(space.get(..count).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(Error::system(errno, format_args!("recvfrom"))),
            }
        }
        Ok(())
    }
}

impl ErrorReply {
    /// Decodes an error message.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let text = message.body("s").and_then(|mut body| body.text());
        ErrorReply { name: message.error.into(), text: text.unwrap_or_default().into() }
    }
}

/// A call to the bus itself, whose reply is not awaited.
fn bus(member: &'static str, signature: &'static str, body: Writer) -> Call {
    let name = "org.freedesktop.DBus";
    let path = "/org/freedesktop/DBus".into();
    // Hello without NO_REPLY_EXPECTED, as bus implementations expect; the reply is ignored.
    Call { destination: name, path, interface: name, member, signature, body, silent: member != "Hello" }
}

#[cold]
fn timed_out() -> Error {
    Error::system(Errno::TIMEDOUT, format_args!("no reply within {TIMEOUT} seconds"))
}

#[cold]
fn malformed() -> Error {
    Error::invalid(format_args!("malformed D-Bus message"))
}
