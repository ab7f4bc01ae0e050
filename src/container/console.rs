//! The destination of the PTY master of a container's terminal: the console socket, or mote itself.

use alloc::boxed::Box;
use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::termios::tcgetwinsize;

use super::relay::{self, Relay};
use crate::config::process::ConsoleSize;
use crate::error::{At, Error, On, Result, Show};
use crate::os::scm_rights;
use crate::process::terminal::Plan;
use crate::sys::fd::inherited;

/// A console socket.
#[derive(Clone, Copy, Debug)]
pub enum Socket<'a> {
    /// The path of a listening one (`--console-socket`).
    Path(&'a CStr),
    /// A connected one.
    Connected(BorrowedFd<'a>),
}

impl Socket<'_> {
    fn connect(self) -> Result<OwnedFd> {
        match self {
            Socket::Path(path) => scm_rights::connect(path, SocketType::STREAM)
                .at(format_args!("--console-socket {}", Show(path))),
            Socket::Connected(socket) => {
                fcntl_dupfd_cloexec(socket, 3).on(format_args!("fcntl F_DUPFD_CLOEXEC"))
            }
        }
    }
}

/// The socket that the child sends the PTY master to.
pub enum Console {
    /// The process has no terminal.
    None,
    /// A connection to `--console-socket`.
    Socket(OwnedFd),
    /// A socket pair: mote's end and the child's.
    Pair(OwnedFd, OwnedFd),
}

impl Console {
    /// Connects to the console socket, or creates the pair if mote stays in the foreground (`attended`). Fails if a
    /// detached process has a terminal without a console socket, and if a console socket is given without a terminal.
    pub fn new(socket: Option<Socket<'_>>, terminal: Option<&mut Plan>, attended: bool) -> Result<Self> {
        match (socket, terminal) {
            (None, None) => Ok(Console::None),
            (Some(socket), Some(_)) => socket.connect().map(Console::Socket),
            (Some(_), None) => {
                Err(Error::invalid(format_args!("--console-socket: process.terminal is not set")))
            }
            (None, Some(plan)) if attended => {
                plan.size = plan.size.or_else(own_size);
                plan.plain = !relay::prints_on_terminal();
                let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
                let (ours, childs) =
                    socketpair(AddressFamily::UNIX, kind, flags, None).on(format_args!("socketpair"))?;
                Ok(Console::Pair(ours, childs))
            }
            (None, Some(_)) => Err(Error::invalid(format_args!(
                "process.terminal: --console-socket is required for a detached process"
            ))),
        }
    }

    /// The child's end.
    pub fn childs(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Console::None => None,
            Console::Socket(socket) | Console::Pair(_, socket) => Some(socket.as_fd()),
        }
    }

    /// Receives the PTY master, if mote stays in the foreground, and creates the relay to mote's own terminal. For use
    /// when the program runs.
    pub fn relay(self) -> Result<Option<Box<Relay>>> {
        match self {
            Console::Pair(ours, childs) => {
                // Otherwise this process would wait for a message from itself.
                drop(childs);
                scm_rights::receive(ours.as_fd()).and_then(Relay::new).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The window size of mote's standard input, if that is a terminal.
fn own_size() -> Option<ConsoleSize> {
    let size = inherited(0).and_then(|stdin| tcgetwinsize(stdin).ok())?;
    Some(ConsoleSize { height: size.ws_row, width: size.ws_col })
}
