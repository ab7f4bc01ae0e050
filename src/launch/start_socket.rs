//! The start socket, at which the container init waits for `start`.
//!
//! With `run` the parent still exists and starts the process over their channel. With `create` it has exited: the start
//! socket is an AF_UNIX socket named `start` in the state directory. `start` connects, sends `Go`, and reads end of file
//! when the program runs, or the error. The parent calls listen(2) when the process is set up, and the process alone
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
use crate::error::{Error, Kind, On, Result};

/// The socket's name in the state directory.
pub const NAME: &str = "start";

/// The backlog of listen(2). Each query of the state connects, and is accepted at once unless the process is stopped;
/// connecting never blocks (EAGAIN).
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

    /// Makes the start socket accept connections. For the parent, when the process is set up.
    pub fn listen(&self) -> Result<()> {
        match self {
            StartWait::Parent => Ok(()),
            StartWait::Socket(socket) => listen(socket, WAITING).on(format_args!("listen {NAME}")),
        }
    }

    /// Its descriptor's number, -1 when it has none of its own.
    pub fn raw_fd(&self) -> RawFd {
        match self {
            StartWait::Parent => -1,
            StartWait::Socket(listener) => listener.as_raw_fd(),
        }
    }

    /// Waits, and gives the channel that is used from now on. For the child. It first waits for the parent's message
    /// that its pid is written to the status file: a parent that goes away without it takes the
    /// container with it, or nobody would ever find it.
    pub fn wait(&self, parent: Channel) -> Result<Channel> {
        let Message::Go = parent.receive()? else {
            return Err(Error::new(
                Kind::State,
                format_args!("the parent process died before the container was created"),
            ));
        };
        let StartWait::Socket(listener) = self else { return Ok(parent) };
        drop(parent);
        loop {
            let connection = accept_with(listener, SocketFlags::CLOEXEC).on(format_args!("accept4"))?;
            let channel = Channel::from_socket(connection);
            // A connection that says nothing was a look whether somebody is here.
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

/// The address of a socket in a directory that is at `path`. It holds 108 bytes (unix(7)); what is longer is said
/// by the directory's descriptor.
pub fn address(directory: BorrowedFd<'_>, path: &str, name: &str) -> Result<SocketAddrUnix> {
    let long: String;
    let short = format!("{path}/{name}");
    let name = match short.len() < 108 {
        true => &short,
        false => {
            long = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
            &long
        }
    };
    SocketAddrUnix::new(name.as_str()).on(format_args!("address {short}"))
}
