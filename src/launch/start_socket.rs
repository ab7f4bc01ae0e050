//! The start socket, at which the container init waits for `start`.
//!
//! With `run` the parent still exists and starts the program over the channel. With `create` it has exited, and `start`
//! uses the start socket, an AF_UNIX socket named `start` in the state directory: it connects, sends `Go`, and reads
//! end of file when the program runs, or the error. The parent calls listen(2) when the child is set up. Only the child
//! keeps the socket open, until execve: a container is "created" as long as the socket is listening.

use alloc::format;
use alloc::string::String;

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use super::message::{Channel, Message};
use crate::error::{At, Error, Kind, On, Result};
use crate::os::procfs;

/// The socket's name in the state directory.
pub const NAME: &str = "start";

/// The backlog of listen(2). Each query of the state connects, and is accepted at once unless the process is stopped.
/// connect(2) never blocks: it is non-blocking (EAGAIN).
const WAITING: i32 = 128;

/// What the container init waits for before it executes the program.
pub enum StartWait {
    /// A message of the parent over the channel.
    Parent,
    /// A message of `start` over a connection to the start socket.
    Socket(OwnedFd),
}

impl StartWait {
    /// Creates the start socket in a state directory.
    pub fn socket(directory: BorrowedFd<'_>, path: &str) -> Result<Self> {
        let socket = new_socket(SocketFlags::empty())?;
        let address = address(directory, path, NAME)?;
        bind(&socket, &address).on(format_args!("bind {path}/{NAME}"))?;
        Ok(StartWait::Socket(socket))
    }

    /// Makes the start socket accept connections. For the parent, when the child is set up.
    pub fn listen(&self) -> Result<()> {
        match self {
            StartWait::Parent => Ok(()),
            StartWait::Socket(socket) => listen(socket, WAITING).on(format_args!("listen {NAME}")),
        }
    }

    /// The fd number of the start socket; -1 without one.
    pub fn raw_fd(&self) -> RawFd {
        match self {
            StartWait::Parent => -1,
            StartWait::Socket(listener) => listener.as_raw_fd(),
        }
    }

    /// Waits for `Go`, and returns the channel that is used from now on. For the child. The first `Go` comes from the
    /// parent, when the container is recorded in the state directory: if the parent dies before, the child fails, since
    /// nothing could find it. `before` is called before the process waits at the start socket.
    pub fn wait(&self, parent: Channel, before: impl FnOnce(&OwnedFd)) -> Result<Channel> {
        let Message::Go = parent.receive()? else {
            return Err(Error::new(
                Kind::State,
                format_args!("the parent process died before the container was created"),
            ));
        };
        let StartWait::Socket(listener) = self else { return Ok(parent) };
        drop(parent);
        before(listener);
        loop {
            let connection = accept_with(listener, SocketFlags::CLOEXEC).on(format_args!("accept4"))?;
            let channel = Channel::from_socket(connection);
            // A connection without a message is a query of the state.
            if let Message::Go = channel.receive()? {
                return Ok(channel);
            }
        }
    }
}

/// Connects to the start socket. `None`: no process listens there (any more, or yet).
pub fn connect_start(directory: BorrowedFd<'_>, path: &str) -> Result<Option<Channel>> {
    let socket = new_socket(SocketFlags::NONBLOCK)?;
    match connect(&socket, &address(directory, path, NAME)?) {
        Ok(()) => {
            fcntl_setfl(&socket, OFlags::empty()).on(format_args!("fcntl F_SETFL"))?;
            Ok(Some(Channel::from_socket(socket)))
        }
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(errno) => Err(Error::system(errno, format_args!("connect {path}/{NAME}"))),
    }
}

/// Whether a process listens at the start socket, even one that is stopped and accepts no connections.
pub fn has_listener(directory: BorrowedFd<'_>, path: &str) -> Result<bool> {
    match connect_start(directory, path) {
        Err(error) if error.is(Errno::AGAIN) => Ok(true),
        other => other.map(|channel| channel.is_some()),
    }
}

fn new_socket(more: SocketFlags) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | more;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).on(format_args!("socket"))
}

/// The address of a socket in the directory at `path`. A longer path than `sun_path` holds, 108 bytes (unix(7)), is
/// replaced by one through /proc/self/fd.
pub fn address(directory: BorrowedFd<'_>, path: &str, name: &str) -> Result<SocketAddrUnix> {
    let long: String;
    let short = format!("{path}/{name}");
    let name = match short.len() < 108 {
        true => &short,
        false => {
            procfs::check_path().at(format_args!("{short}: longer than 107 bytes"))?;
            long = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
            &long
        }
    };
    SocketAddrUnix::new(name.as_str()).on(format_args!("address {short}"))
}
