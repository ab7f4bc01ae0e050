//! The intermediate process between parent and child, for namespaces that must be joined before the clone.

use core::convert::Infallible;

use linux_raw_sys::general as sys;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::message::{Channel, Message};
use crate::error::{Error, On, Result};
use crate::sys::clone::{exit, spawn};
use crate::sys::end::How;
use crate::sys::fd::close_in_child;
use crate::sys::pidfd::reap;

/// Clones the container init through an intermediate process, which runs `join` and then clones the container init as
/// its own sibling (CLONE_PARENT), with the new namespaces of the first element of `new` that the kernel supports. Needed because a joined user namespace has to own the
/// new namespaces and the other joined ones, and because a process that joined another pid namespace may be unable to
/// return. The intermediate process shares only the channel, and sends the pid of the container init over it first.
#[cold]
#[inline(never)]
pub fn clone_through_intermediate<S>(
    new: &[u64],
    mut state: S,
    join: impl FnOnce(&mut S) -> Result<()>,
    child: impl FnOnce(S, u64) -> Infallible,
) -> Result<(Pid, OwnedFd)> {
    let (parent_end, child_end) = Channel::pair()?;
    let intermediate = || -> Infallible {
        close_in_child(parent_end.fd());
        let made = join(&mut state).and_then(|()| {
            let mut once = Some((state, child));
            let mut attempt = |new: u64| {
                spawn(new | u64::from(sys::CLONE_PARENT), None, || {
                    // A copy left open here would hide the death of the intermediate process from the parent.
                    close_in_child(child_end.fd());
                    match once.take() {
                        Some((state, child)) => child(state, new),
                        None => exit(1),
                    }
                })
            };
            let mut last = Err(Errno::INVAL);
            for new in new {
                last = attempt(*new);
                if !last.as_ref().is_err_and(|errno| is_unsupported(*errno)) {
                    break;
                }
            }
            last.on(format_args!("clone3 CLONE_PARENT"))
        });
        match made {
            Ok((pid, _)) => child_end.send(&Message::Born(pid.as_raw_nonzero().get())),
            Err(error) => child_end.send(&Message::Failed(error)),
        };
        exit(0)
    };
    let (_, intermediate) = spawn(0, None, intermediate).on(format_args!("clone3"))?;
    // Only the intermediate process has this end open now: if it dies without a message, the parent reads end of file.
    drop(child_end);
    let received = parent_end.receive();
    let end = reap(&intermediate);
    match received? {
        Message::Born(number) => {
            let pid = Pid::from_raw(number).ok_or_else(|| Error::invalid(format_args!("invalid PID")))?;
            let pidfd = pidfd_open(pid, PidfdFlags::empty());
            Ok((pid, pidfd.on(format_args!("pidfd_open {number}"))?))
        }
        Message::Failed(error) => Err(error),
        _ => Err(Error::invalid(format_args!("the intermediate process died: {}", How(end)))),
    }
}

/// Whether an error of clone3(2) may mean that a flag is not supported, by the kernel or a sandbox.
pub fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::PERM)
}
