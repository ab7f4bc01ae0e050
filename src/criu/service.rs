//! CRIU as a service that dumps, or reports its version.

use core::convert::Infallible;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::io::pread;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::connection::Connection;
use super::program::Program;
use crate::error::{self, Error, On, OneLine, Result};
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::pidfd::reap;

/// A running service.
pub struct Service {
    connection: Connection,
    output: OwnedFd,
}

/// The maximal length of CRIU's output in an error, in bytes.
const MAX_OUTPUT: usize = 200;

impl Service {
    /// Starts the service, with an empty standard input. It is not killed when this process dies, which may end a process in
    /// which it executes code at that moment: its next notification fails then, and it lets the processes continue.
    pub fn start(program: &Program) -> Result<Self> {
        let null = open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let null = null.on(format_args!("openat /dev/null"))?;
        let output = memfd_create(c"output", MemfdFlags::CLOEXEC).on(format_args!("memfd_create"))?;
        let (own, socket) = Connection::sockets()?;
        let command = program.command(&socket);
        let strings = command.strings();
        error::reserve();
        let child = || -> Infallible {
            let ready =
                dup2_stdin(&null).and_then(|()| dup2_stdout(&output)).and_then(|()| dup2_stderr(&output));
            let error = match ready {
                Ok(()) => command.execute(&strings, &[&socket], socket.as_raw_fd()),
                Err(errno) => Error::system(errno, format_args!("dup2")),
            };
            Connection::report(&socket, &error);
            exit(127)
        };
        let (_, pidfd) = spawn(0, None, child).on(format_args!("clone3"))?;
        Ok(Service { connection: Connection::new(own, pidfd), output })
    }

    /// The connection.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Ends the service: without a connection it exits. Returns `result`; to an error are added the output of CRIU, which is
    /// empty once it has opened its log, and how it has ended, if it was not ended here.
    pub fn end<T>(self, result: Result<T>) -> Result<T> {
        let Service { connection, output } = self;
        let is_lost = connection.is_lost;
        let end = reap(&connection.close());
        result.map_err(|mut error| {
            let mut space = [0u8; MAX_OUTPUT];
            let count = pread(&output, &mut space[..], 0).unwrap_or(0);
            let text = space.get(..count).unwrap_or_default();
            if is_lost {
                error.append(format_args!(": {}", How(end)));
            }
            if !text.is_empty() {
                error.append(format_args!(": {}", OneLine(text)));
            }
            error
        })
    }
}
