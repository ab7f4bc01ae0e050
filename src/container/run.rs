//! `run`: creates and starts a container, and in the foreground waits for its exit and removes it.

use alloc::vec::Vec;

use rustix::process::{Pid, set_child_subreaper};

use super::create::{CreatedContainer, Request, bring_up};
use super::creation::{Launch, Until};
use super::delete;
use super::outcome::Outcome;
use super::store::directory::Store;
use super::supervise::{block_signals, block_signals_of_writes, supervise};
use crate::cgroup::stat::oom::OomReport;
use crate::error::{Error, On, Result};

/// Options of `run` in the foreground.
#[derive(Clone, Copy, Debug)]
pub struct Foreground {
    /// Keep the state directory and the cgroup after the program has exited.
    pub keep: bool,
    /// Be the subreaper of the container's orphaned processes (PR_SET_CHILD_SUBREAPER).
    pub subreaper: bool,
}

/// Runs a container. Detached (no `foreground`), it returns as soon as the program runs; otherwise when the container
/// init has ended and, unless `keep`, the container has been removed.
///
/// Errors: those of [`create`](super::create::create). An error after the program was started is only a warning, unless
/// mote cannot wait for its exit.
pub fn run(
    store: &Store,
    request: &Request<'_>,
    foreground: Option<Foreground>,
    warnings: &mut Vec<Error>,
) -> Result<Outcome> {
    let Some(Foreground { keep, subreaper }) = foreground else {
        block_signals_of_writes()?;
        let CreatedContainer { directory, launch } = bring_up(store, request, Until::Running, warnings)?;
        directory.unlock()?;
        if let Some(notify) = launch.notify {
            let waited = notify.wait(launch.launched.pid.as_raw_nonzero().get(), &launch.launched.pidfd);
            // The container runs.
            warnings.extend(waited.err());
        }
        return Ok(Outcome::running(launch.launched.pid, launch.launched.pidfd));
    };
    if subreaper {
        // Any PID means true.
        set_child_subreaper(Some(Pid::INIT)).on(format_args!("prctl PR_SET_CHILD_SUBREAPER"))?;
    }
    // Signals stay pending until they can be forwarded.
    block_signals()?;
    let CreatedContainer { directory, launch } = bring_up(store, request, Until::Ended, warnings)?;
    directory.unlock()?;
    let Launch { relay, notify, has_other_resources, cgroup, launched } = launch;
    let code = supervise((launched.pid, &launched.pidfd), relay, notify)?;
    // 128 + SIGKILL, of the container init or of a process that it waited for: perhaps an OOM kill.
    if code == 137
        && let Some(shortage) = cgroup.as_ref().and_then(OomReport::of)
    {
        warnings.push(Error::invalid(format_args!("the container's cgroup ran {shortage}")));
    }
    // `false`: another command has deleted it.
    if !keep && directory.lock()? {
        // A failure is only a warning: `delete` can remove the rest, and the result is the program's exit status.
        let removed = match has_other_resources {
            true => delete::remove(&directory, warnings),
            false => cgroup.map_or(Ok(()), |cgroup| cgroup.remove()).and_then(|()| directory.remove()),
        };
        warnings.extend(removed.err());
    }
    Ok(Outcome::Ended(code))
}
