//! Readiness notification of systemd (sd_notify(3)). If mote is started with NOTIFY_SOCKET, the container gets a
//! notification socket of its own, from which only READY=1 is forwarded, with the PID of the container init as MAINPID.
//!
//! ```text
//! STATE/ID/notify/             bind-mounted at /run/notify in the container
//!                 notify.sock  `start` or `run` receives from it
//! ```

use alloc::ffi::CString;
use alloc::format;
use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, chmodat, mkdirat, unlinkat};
use rustix::io::{Errno, write};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, recv, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};

use super::store::directory::Directory;
use crate::config::{Config, Mount};
use crate::error::{At, Error, On, Result, Show};
use crate::launch::start_socket;
use crate::os::scm_rights;
use crate::sys::fd::signal_when_readable;

const SOCKET: &str = "notify/notify.sock";
const INSIDE: &CStr = c"/run/notify";
const VARIABLE: &CStr = c"NOTIFY_SOCKET=/run/notify/notify.sock";

/// The directory of the notification socket, which is bind-mounted into the container.
pub struct SocketMount(CString);

impl SocketMount {
    /// Creates the directory.
    pub fn make(directory: &Directory) -> Result<Self> {
        let path = format!("{}/notify", directory.path());
        mkdirat(directory.fd(), c"notify", Mode::from_raw_mode(0o755)).on(format_args!("mkdirat {path}"))?;
        Ok(SocketMount(CString::new(path).unwrap_or_default()))
    }

    /// Adds the mount and the variable NOTIFY_SOCKET to a configuration.
    pub fn add_to<'a>(&'a self, config: &mut Config<'a>) {
        config.mounts.push(Mount {
            destination: INSIDE,
            source: Some(&self.0),
            kind: Some(c"bind"),
            options: [c"bind", c"ro", c"nosuid", c"nodev", c"noexec"].into(),
            ..Mount::default()
        });
        if let Some(process) = &mut config.process {
            process.env.push(VARIABLE);
        }
    }
}

/// The notification sockets: the container's, which mote is bound to, and the host's, which mote is connected to.
pub struct Notify {
    inside: OwnedFd,
    host: OwnedFd,
}

impl Notify {
    /// Binds the container's socket and connects to `host`, a path or `@NAME` (abstract). `None` if the container was
    /// created without a notification socket.
    pub fn listen(directory: &Directory, host: &CStr) -> Result<Option<Self>> {
        let inside = socket().on(format_args!("socket"))?;
        match bind(&inside, &start_socket::address(directory.fd(), directory.path(), SOCKET)?) {
            Err(Errno::NOENT) => return Ok(None),
            // Left by a `start` that failed.
            Err(Errno::ADDRINUSE) => {
                unlinkat(directory.fd(), SOCKET, AtFlags::empty()).on(format_args!("unlinkat {SOCKET}"))?;
                return Self::listen(directory, host);
            }
            bound => bound.on(format_args!("bind {}/{SOCKET}", directory.path()))?,
        }
        // The container's user may be any.
        chmodat(directory.fd(), SOCKET, Mode::from_raw_mode(0o777), AtFlags::empty())
            .on(format_args!("fchmodat {SOCKET}"))?;
        let host = connect_to(host).at(format_args!("NOTIFY_SOCKET {}", Show(host)))?;
        Ok(Some(Notify { inside, host }))
    }

    /// Requests SIGIO when a message arrives.
    pub fn signal(&self) -> Result<()> {
        signal_when_readable(&self.inside).on(format_args!("fcntl F_SETOWN"))
    }

    /// Waits until the container is ready or the process has exited. READY=1 is forwarded, and this returns when
    /// systemd has read it.
    pub fn wait(&self, pid: i32, pidfd: &OwnedFd) -> Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.inside, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                polled => polled.on(format_args!("poll"))?,
            };
            let [received, ended] = fds.map(|fd| !fd.revents().is_empty());
            // The kernel looks at one fd after the other: its last messages may have arrived in between, before its exit.
            if (received || ended) && self.take(pid)? {
                return self.barrier();
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Reads the messages that have arrived, and forwards READY=1. Returns whether that was among them.
    pub fn take(&self, pid: i32) -> Result<bool> {
        let mut space = [0u8; 4096];
        loop {
            let count = match recv(&self.inside, &mut space, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                received => received.on(format_args!("recvfrom {SOCKET}"))?.0,
            };
            let received = space.get(..count).unwrap_or_default();
            if received.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                let text = format!("READY=1\nMAINPID={pid}\n");
                write(&self.host, text.as_bytes()).on(format_args!("write to NOTIFY_SOCKET"))?;
                return Ok(true);
            }
        }
    }

    /// Waits until systemd has read all messages, since it may ignore those of a process that has exited
    /// (sd_notify_barrier(3)).
    fn barrier(&self) -> Result<()> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).on(format_args!("pipe2"))?;
        scm_rights::send(self.host.as_fd(), b"BARRIER=1", writer.as_fd())?;
        drop(writer);
        let mut fds = [PollFd::new(&reader, PollFlags::IN)];
        // The timeout of systemd's own programs.
        match poll(&mut fds, Some(&Timespec { tv_sec: 30, tv_nsec: 0 })) {
            Ok(0) => Err(Error::invalid(format_args!("NOTIFY_SOCKET: no response to BARRIER=1 in 30 s"))),
            polled => polled.map(drop).on(format_args!("poll")),
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

fn connect_to(path: &CStr) -> Result<OwnedFd> {
    let Some(name) = path.to_bytes().strip_prefix(b"@") else {
        return scm_rights::connect(path, SocketType::DGRAM);
    };
    let socket = socket().on(format_args!("socket"))?;
    let address = SocketAddrUnix::new_abstract_name(name).on(format_args!("address"))?;
    connect(&socket, &address).on(format_args!("connect"))?;
    Ok(socket)
}
