//! An operation under way: the socket to the program that carries it out.

use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, send, shutdown, socketpair};
use rustix::process::{Pid, getpid};

use super::exit_status::ExitStatus;
use crate::error::{Error, Kind, On, Result};
use crate::operations::frame::{Content, Header, peek, receive_content, receive_header, send_message};
use crate::operations::wire::{Decoder, Encoder, Wire};
use crate::operations::{Operation, Settings, report};
use crate::sys::pidfd::exit_status;
use crate::sys::reaper::{Ended, Reaper, spawn};

/// An operation that the program carries out. Dropped, it waits for the end of the program.
#[derive(Debug)]
pub(super) struct Exchange {
    socket: OwnedFd,
    reaper: Reaper,
    /// The process that has begun it. A child of it, by fork(2), has a copy.
    owner: Pid,
    /// Whether the program was killed.
    pub is_killed: bool,
}

/// The length of a message with an exit status, with its header.
const END_MESSAGE: usize = 32;

/// A message of the program.
pub(super) enum Message {
    /// A line of JSON.
    Event(String),
    /// The operation is done.
    Done(Content),
}

impl Exchange {
    /// Starts the program and sends it an operation.
    pub(super) fn begin<O: Operation>(
        program: BorrowedFd<'_>,
        settings: &Settings,
        operation: &O,
    ) -> Result<Self> {
        let mut message = Encoder::default();
        settings.put(&mut message);
        operation.put(&mut message);
        message.check()?;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .on(format_args!("socketpair"))?;
        let reaper = spawn(program, theirs.as_fd()).on(format_args!("clone"))?;
        drop(theirs);
        let mut exchange = Exchange { socket, reaper, owner: getpid(), is_killed: false };
        match send_message(exchange.socket.as_fd(), O::NUMBER, &message) {
            Ok(()) => Ok(exchange),
            Err(error) => Err(exchange.lost(Some(error))),
        }
    }

    /// The socket, which becomes readable with the next message.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives messages up to the result of the operation.
    pub(super) fn result<T: Wire>(&mut self, warnings: &mut Vec<Error>) -> Result<T> {
        loop {
            if let Message::Done(content) = self.next(warnings)? {
                return decode(content, warnings, T::take);
            }
        }
    }

    /// Receives the next message. Fails if the operation has failed.
    pub(super) fn next(&mut self, warnings: &mut Vec<Error>) -> Result<Message> {
        let (header, content) = self.receive()?;
        match header.kind {
            report::EVENT => {
                let (fds, bytes) = content;
                String::take(&mut Decoder::new(&bytes, 0, fds)).map(Message::Event)
            }
            report::DONE => Ok(Message::Done(content)),
            _ => {
                let error = decode(content, warnings, Error::take);
                Err(error.unwrap_or_else(|error| error))
            }
        }
    }

    /// Receives the exit status of the process that the operation has started, which the program waits for.
    /// It can be received any number of times, and by several threads at once.
    pub(super) fn end(&self) -> Result<ExitStatus> {
        let lost =
            || Error::new(Kind::State, format_args!("the program of mote has ended before the process"));
        let mut bytes = [0; END_MESSAGE];
        let bytes = peek(self.socket.as_fd(), &mut bytes)?.ok_or_else(lost)?;
        let (code, signal) = Wire::take(&mut Decoder::new(bytes, 0, Vec::new()))?;
        Ok(ExitStatus::new(code, signal))
    }

    fn receive(&mut self) -> Result<(Header, Content)> {
        let received = receive_header(self.socket.as_fd()).and_then(|header| {
            header.map(|header| Ok((header, receive_content(self.socket.as_fd(), &header)?))).transpose()
        });
        match received {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.lost(None)),
            Err(error) => Err(self.lost(Some(error))),
        }
    }

    /// Confirms that the result of an operation that starts a process has been received; otherwise the program ends the
    /// process.
    pub(super) fn acknowledge(&self) -> Result<()> {
        retry_on_intr(|| send(&self.socket, b"A", SendFlags::NOSIGNAL)).map(drop).on(format_args!("sendto"))
    }

    /// The error for a program that has not sent a result.
    #[cold]
    fn lost(&mut self, error: Option<Error>) -> Error {
        // It may wait for this program.
        let _ = shutdown(&self.socket, Shutdown::Both);
        match (self.reaper.wait(), error) {
            (Ended::NotExecuted(errno), _) => {
                Error::system(errno, format_args!("execveat of the program of mote"))
            }
            (Ended::Killed(signal), _) => {
                self.is_killed = true;
                Error::new(Kind::State, format_args!("the program of mote was killed by signal {signal}"))
            }
            (_, Some(error)) => error,
            (_, None) => {
                Error::new(Kind::State, format_args!("the program of mote has ended without a result"))
            }
        }
    }

    /// Waits for the end of the program, after its result. Returns whether the kernel keeps the exit status of a process
    /// that has been waited for.
    pub(super) fn keeps_status(mut self) -> bool {
        self.reaper.wait();
        exit_status(self.reaper.pidfd()).is_some()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A program that waits for a process ends then, also if a child of this process has a copy of the socket.
        if getpid() == self.owner {
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }
}

/// Decodes a result: warnings, and what `take` reads.
pub(super) fn decode<T>(
    (fds, bytes): Content,
    warnings: &mut Vec<Error>,
    take: impl FnOnce(&mut Decoder<'_>) -> Result<T>,
) -> Result<T> {
    let mut decoder = Decoder::new(&bytes, 0, fds);
    warnings.append(&mut Vec::take(&mut decoder)?);
    take(&mut decoder)
}
