//! The start gate: where a container's process waits until it is to become its program.
//!
//! With `run` the parent is still there and opens it over the channel they have. With `create` it has gone,
//! and the gate is a socket named `start` in the container's state directory: `start` connects, says GO, and hears what
//! becomes of it: the end of the line when the program runs, or the error. The parent has the socket listen once the
//! process is set up, and only the process keeps it, until execve: that somebody listens is what "created" means.

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

/// How many may have come without being heard. Each look at the state comes to the gate, and is heard at once,
/// but by a process that is stopped; nobody waits to be heard (EAGAIN).
const WAITING: i32 = 128;

/// Who opens the gate.
pub enum StartWait {
    /// The parent, over the channel.
    Parent,
    /// Whoever connects.
    Socket(OwnedFd),
}

impl StartWait {
    /// A gate in a state directory.
    pub fn socket(directory: BorrowedFd<'_>, path: &str) -> Result<Self> {
        let socket = new_socket(SocketFlags::empty())?;
        let address = address(directory, path, NAME)?;
        bind(&socket, &address).on(format_args!("bind {path}/{NAME}"))?;
        Ok(StartWait::Socket(socket))
    }

    /// The parent's side, when the process is set up: from now on it can be come to.
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

    /// The child's side: waits, and gives the channel over which it is heard from now on. First for its
    /// parent's word that it is known, its pid written down: a parent that goes away without it takes the
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

/// Comes to the gate of a created container. `None`: nobody waits there (any more, or yet).
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

/// Whether somebody waits there, even one that has been stopped and takes nobody in.
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
