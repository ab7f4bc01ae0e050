//! Handing over the listener of a seccomp filter (seccomp_unotify(2)): whoever is to answer SCMP_ACT_NOTIFY gets its
//! descriptor, before the container's process goes on.
//!
//! ```text
//!     child                                          mote: `create`, `run`, `exec`, or `start`
//!     a page that is not there                 --->  FILTER: the listener's number; the page's other end
//!     the filter is loaded
//!     reads the page, and waits                      is notified that it waits
//!                                                    takes the listener (pidfd_getfd)
//!                                                    sends it to the socket of listenerPath
//!     goes on                                  <---  gives the page
//! ```
//!
//! The filter may stop, refuse or kill for any call, also those with which one says something, and nobody answers
//! as long as nobody has the listener. So there are none: memory alone tells that the filter is loaded, and
//! that the process may go on (`sys/fault.rs`). The listener's number is known ahead, being the lowest that is free.

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
    /// `None`: nobody is there, and nobody needs to be.
    socket: Option<OwnedFd>,
    /// The container process state, JSON.
    pub state: String,
}

/// The child's side: loads the filter, and comes back when the listener is where it belongs.
// Not into its caller, which every start runs: see scripts/layout.ld.
#[inline(never)]
pub(super) fn load(program: &Filter<'_>, channel: &Channel) -> Result<()> {
    let (page, faults) = fault::page().on(format_args!("SCMP_ACT_NOTIFY: userfaultfd"))?;
    // Over memory that was an ordinary user's on the host nobody has rights in a user namespace; the user takes
    // from a process of theirs only what is dumpable. All that is open is this line.
    if program.ordinary {
        set_dumpable_behavior(DumpableBehavior::Dumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    }
    channel.send(&Message::FilterListener(faults.fd().as_raw_fd()));
    scm_rights::send(channel.fd(), b"\0", faults.fd().as_fd())?;
    // So that its number is the listener's; and so that the page comes, empty, should mote give up or be gone: then this
    // process ends.
    drop(faults);
    let listener = program.load()?;
    // From here on no call: not even to close it, which execve does.
    forget(listener);
    page.wait();
    Ok(())
}

impl ListenerHandover {
    /// Connects to the socket; `needed` is whether there is anything to be asked there.
    pub fn connect(path: CString, needed: bool) -> Result<Self> {
        let socket = match scm_rights::connect(&path, SocketType::STREAM) {
            Err(_) if !needed => None,
            socket => Some(socket.at(format_args!("linux.seccomp.listenerPath {}", Show(&path)))?),
        };
        Ok(ListenerHandover { path, socket, state: String::new() })
    }

    /// Hands the listener over, once the filter is loaded: `number` is what the process, `pidfd`, has said of it.
    /// Gives the next message, which is why there is none where it is not loaded.
    pub fn hand_over(self, channel: &Channel, pidfd: &OwnedFd, number: RawFd) -> Result<Message> {
        let faults = Faults::over(scm_rights::receive(channel.fd())?);
        if let Some(place) = faults.next(channel.fd()).on(format_args!("linux.seccomp: userfaultfd"))? {
            // One message a connection, which ends with it.
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
