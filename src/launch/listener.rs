//! Handing over the listener fd of a seccomp filter (seccomp_unotify(2)) to the seccomp agent, before the process goes
//! on.
//!
//! ```text
//!     child                                          mote: `create`, `run`, `exec`, or `start`
//!     maps a missing page (userfaultfd)        --->  FILTER: the listener's fd number; the userfaultfd
//!     loads the filter
//!     reads the page: page fault, blocks             reads the fault from the userfaultfd
//!                                                    duplicates the listener fd (pidfd_getfd)
//!                                                    sends it to the socket of listenerPath
//!     continues                                <---  resolves the fault (UFFDIO_COPY)
//! ```
//!
//! The filter may notify for, deny or kill for any call, and notifications block until the agent has the listener fd.
//! So the child makes no calls in between: the page fault signals that the filter is loaded, and resolving it that the
//! process may continue (`sys/fault.rs`). The fd number of the listener is known in advance: the lowest that is free.

use alloc::ffi::CString;
use alloc::string::String;
use core::mem::forget;

use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use rustix::net::SocketType;
use rustix::process::{DumpableBehavior, PidfdGetfdFlags, pidfd_getfd, set_dumpable_behavior};

use super::message::{Channel, Message};
use crate::error::{At, On, Result, Show};
use crate::os::scm_rights;
use crate::seccomp::Filter;
use crate::sys::fault::{self, Faults};

/// A connection to the receiver of the listener fd, and the state that is sent with it.
pub struct ListenerHandover {
    path: CString,
    /// `None`: no agent listens, and none is needed.
    socket: Option<OwnedFd>,
    /// The container process state, JSON.
    pub state: String,
}

/// Loads the filter in the child; returns when the listener fd has been handed over.
// Not inlined into its caller, which every start runs: see scripts/layout.ld.
#[inline(never)]
pub(super) fn load(program: &Filter<'_>, channel: &Channel) -> Result<()> {
    let (page, faults) = fault::page().on(format_args!("SCMP_ACT_NOTIFY: userfaultfd"))?;
    // For pidfd_getfd(2), an unprivileged user needs ptrace access to this process, which requires that it is dumpable:
    // capabilities in its user namespace do not extend to memory created outside. Only the channel is open.
    if program.ordinary {
        set_dumpable_behavior(DumpableBehavior::Dumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    }
    channel.send(&Message::FilterListener(faults.fd().as_raw_fd()));
    scm_rights::send(channel.fd(), b"\0", faults.fd().as_fd())?;
    // Closed, so that the listener gets this fd number, and so that an empty page is mapped if the other process fails
    // or dies: then this process exits.
    drop(faults);
    let listener = program.load()?;
    // No system call from here on, not even close(2): execve closes the fd.
    forget(listener);
    page.wait();
    Ok(())
}

impl ListenerHandover {
    /// Connects to the socket of the agent. A failure is an error only if `needed`: if the filter has notify actions.
    pub fn connect(path: CString, needed: bool) -> Result<Self> {
        let socket = match scm_rights::connect(&path, SocketType::STREAM) {
            Err(_) if !needed => None,
            socket => Some(socket.at(format_args!("linux.seccomp.listenerPath {}", Show(&path)))?),
        };
        Ok(ListenerHandover { path, socket, state: String::new() })
    }

    /// Hands over the listener fd, which has the number `number` in the process `pidfd`, when the filter is loaded.
    /// Returns the next message: the child's error if the filter could not be loaded.
    pub fn hand_over(self, channel: &Channel, pidfd: &OwnedFd, number: RawFd) -> Result<Message> {
        let faults = Faults::over(scm_rights::receive(channel.fd())?);
        if let Some(place) = faults.next(channel.fd()).on(format_args!("linux.seccomp: userfaultfd"))? {
            // One message for each connection, which is then closed.
            if let Some(socket) = self.socket {
                let descriptor = pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty());
                let descriptor = descriptor.on(format_args!("linux.seccomp: pidfd_getfd {number}"))?;
                scm_rights::send(socket.as_fd(), self.state.as_bytes(), descriptor.as_fd())
                    .at(format_args!("linux.seccomp.listenerPath {}", Show(&self.path)))?;
            }
            faults.give(place).on(format_args!("linux.seccomp: ioctl UFFDIO_COPY"))?;
        }
        channel.receive()
    }
}
