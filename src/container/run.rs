//! `run`: create and start in one, and in the foreground the wait for its end.

use alloc::vec::Vec;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};

use super::create::{Request, Up, bring_up};
use super::store::Store;
use crate::error::{Error, On, Result};
use crate::launch::parent::Launched;
use crate::sys::signal::{self, Set, block, send};

/// SIGCHLD, which is mote's own; every other signal is the container's.
const SIGCHLD: i32 = linux_raw_sys::general::SIGCHLD as i32;

/// How a container is attended in the foreground.
#[derive(Clone, Copy, Debug)]
pub struct Foreground {
    /// Its state and its cgroup stay when it has ended.
    pub keep: bool,
    /// Orphans of its processes come to mote, to be reaped.
    pub subreaper: bool,
}

/// Runs a container. Detached (no `foreground`): 0 as soon as the program runs. Else its exit status, 128
/// and the number for a signal that ended it; the container is then removed, unless it is to be kept.
pub fn run(
    store: &Store,
    request: &Request<'_>,
    foreground: Option<Foreground>,
    warnings: &mut Vec<Error>,
) -> Result<i32> {
    let Some(Foreground { keep, subreaper }) = foreground else {
        return bring_up(store, request, false, warnings).map(|_| 0);
    };
    if subreaper {
        // Any pid stands for yes.
        set_child_subreaper(Some(Pid::INIT)).on(format_args!("prctl PR_SET_CHILD_SUBREAPER"))?;
    }
    // From here on signals wait until the container is there to have them.
    block(Set::ALL).on(format_args!("rt_sigprocmask"))?;
    let Up { directory, cgroup, launched } = bring_up(store, request, false, warnings)?;
    // Other commands may come now.
    directory.unlock()?;
    let code = attend(&launched)?;
    // Somebody may have deleted it.
    if !keep && directory.lock()? {
        // What cannot be removed is left for `delete` to find; the program's exit status is the answer.
        let removed = cgroup.map_or(Ok(()), |cgroup| cgroup.remove()).and_then(|()| directory.remove());
        warnings.extend(removed.err());
    }
    Ok(code)
}

/// Hands on signals and reaps until the container's process has ended: its exit code.
fn attend(launched: &Launched) -> Result<i32> {
    loop {
        match signal::wait(Set::ALL) {
            Ok(SIGCHLD) => {
                if let Some(code) = reap(launched.pid)? {
                    return Ok(code);
                }
            }
            Ok(signal) => match send(&launched.pidfd, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                sent => sent.on(format_args!("pidfd_send_signal {signal}"))?,
            },
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(Error::system(errno, format_args!("rt_sigtimedwait"))),
        }
    }
}

/// Reaps whoever has ended; the exit code if the container's process is among them.
fn reap(init: Pid) -> Result<Option<i32>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == init => return Ok(Some(code(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(errno) => return Err(Error::system(errno, format_args!("wait4"))),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(255),
    }
}
