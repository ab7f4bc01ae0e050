//! A connection to a D-Bus peer ("Authentication Protocol", unix(7)): who calls is known by the socket's
//! credentials, so nothing has to be told. What is to be reply then is sent at once: hello to a bus, and the first calls.

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

use super::address::Address;
use super::message::{Call, ERROR, RETURN, SIGNAL, Writer};
use super::read::{HEAD, Message, length};
use crate::error::{At, Error, On, OneLine, Result};
use crate::sys::time::uptime;

/// How long an answer may take, in seconds: a manager may start many units first.
const TIMEOUT: i64 = 30;

/// A signal that is longer is passed skip: none that is waited for is.
const LONGEST: usize = 1 << 16;

/// An empty identity: it is the one that the socket tells, whatever ids are called in a user namespace.
const AUTH: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// The connection.
pub struct Connection {
    fd: OwnedFd,
    /// Of whoever is at the other end.
    pub address: Address,
    out: Vec<u8>,
    input: Vec<u8>,
    /// So much of it is consumed already.
    consumed: usize,
    /// So much of what comes is to be passed skip.
    skip: usize,
    serial: u32,
    /// The second at which patience ends.
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
    /// Connects to an address.
    pub fn open(address: &Address) -> Result<Self> {
        Self::connect(address).at(format_args!("D-Bus at {address}"))
    }

    fn connect(address: &Address) -> Result<Self> {
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .on(format_args!("socket"))?;
        // For connect as well, where many are waiting to be let in.
        set_socket_timeout(&fd, Timeout::Send, Some(Duration::from_secs(TIMEOUT as u64)))
            .on(format_args!("setsockopt SO_SNDTIMEO"))?;
        let name = address.socket().on(format_args!("address"))?;
        connect(&fd, &name).on(format_args!("connect"))?;
        let (address, out, end) = (address.clone(), Vec::new(), uptime() + TIMEOUT);
        let mut connection =
            Connection { fd, address, out, input: Vec::new(), consumed: 0, skip: 0, serial: 0, end };
        // By itself: systemd reads a call that comes along, but does not look at it before something else comes.
        connection.send(AUTH)?;
        while !connection.authenticate_line()? {}
        if connection.address.bus {
            connection.queue(&bus("Hello", "", Writer::default()));
        }
        Ok(connection)
    }

    /// Asks a bus for signals that fit a rule. Without a bus all signals come.
    pub fn add_match(&mut self, rule: &str) {
        if self.address.bus {
            let mut body = Writer::default();
            body.text(rule);
            self.queue(&bus("AddMatch", "s", body));
        }
    }

    /// Queues a call; gives its serial number.
    pub fn queue(&mut self, call: &Call) -> u32 {
        self.serial += 1;
        // Messages are aligned within themselves, wherever they are in the stream.
        self.out.append(&mut call.encode(self.serial));
        self.serial
    }

    /// Sends the queued calls, and passes received messages to `take` until that returns true.
    pub fn receive_until(&mut self, take: &mut dyn FnMut(&Message<'_>) -> Result<bool>) -> Result<()> {
        let address = self.address.clone();
        self.flush().at(format_args!("D-Bus at {address}"))?;
        loop {
            let message = self.next().at(format_args!("D-Bus at {address}"))?;
            if let Some(message) = message
                && take(&message)?
            {
                return Ok(());
            }
        }
    }

    /// The reply to a queued call.
    pub fn call_result<T>(
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

    /// What comes next; `None` when that was passed skip.
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
            // What answers a call is never so long.
            self.skip = if head.get(1) == Some(&SIGNAL) { length } else { return Err(malformed()) };
            return Ok(None);
        }
        self.fill(length)?;
        let whole = self.input.get(self.consumed..self.consumed + length).unwrap_or_default();
        self.consumed += length;
        Message::decode(whole).map(Some).ok_or_else(malformed)
    }

    /// One line of the talk about who this is; whether it was the last.
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
        let known = reply.starts_with(b"OK ");
        if !known && !reply.starts_with(b"DATA") {
            return Err(Error::system(Errno::ACCESS, format_args!("AUTH EXTERNAL: {}", OneLine(reply))));
        }
        self.consumed = end + 2;
        Ok(known)
    }

    /// Reads until there are so many bytes that nobody has consumed.
    fn fill(&mut self, count: usize) -> Result<()> {
        if self.input.len() - self.consumed >= count {
            return Ok(());
        }
        self.input.drain(..self.consumed);
        self.consumed = 0;
        while self.input.len() < count {
            // Whoever says much, but not what is waited for, is as silent.
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
    /// What an error says.
    pub fn of(message: &Message<'_>) -> Self {
        let text = message.body("s").and_then(|mut body| body.text());
        ErrorReply { name: message.error.into(), text: text.unwrap_or_default().into() }
    }
}

/// A call of the bus itself. Nobody waits for the answer.
fn bus(member: &'static str, signature: &'static str, body: Writer) -> Call {
    let name = "org.freedesktop.DBus";
    let path = "/org/freedesktop/DBus".into();
    // Hello is answered all the same; a bus wants it to be a call like any other.
    Call { destination: name, path, interface: name, member, signature, body, silent: member != "Hello" }
}

#[cold]
fn timed_out() -> Error {
    Error::system(Errno::TIMEDOUT, format_args!("no answer within {TIMEOUT} seconds"))
}

#[cold]
fn malformed() -> Error {
    Error::invalid(format_args!("what came is not a message"))
}
