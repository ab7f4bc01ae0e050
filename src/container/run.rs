//! `run`: create and start in one, and in the foreground the wait for its end.

use alloc::vec::Vec;

use rustix::process::{Pid, set_child_subreaper};

use super::create::{CreatedContainer, Launch, Request, Until, bring_up};
use super::delete;
use super::store::directory::Store;
use super::supervise::{block_signals, supervise};
use crate::cgroup::stat::oom::OomReport;
use crate::error::{Error, On, Result};

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
        let CreatedContainer { directory, launch } = bring_up(store, request, Until::Running, warnings)?;
        directory.unlock()?;
        if let Some(notify) = launch.notify {
            notify.wait(launch.launched.pid.as_raw_nonzero().get(), &launch.launched.pidfd)?;
        }
        return Ok(0);
    };
    if subreaper {
        // Any pid stands for yes.
        set_child_subreaper(Some(Pid::INIT)).on(format_args!("prctl PR_SET_CHILD_SUBREAPER"))?;
    }
    // From here on signals wait until the container is there to have them.
    block_signals()?;
    let CreatedContainer { directory, launch } = bring_up(store, request, Until::Ended, warnings)?;
    // Other commands may come now.
    directory.unlock()?;
    let Launch { relay, notify, has_other_resources, cgroup, launched } = launch;
    let code = supervise(&launched, relay, notify)?;
    // 128 and SIGKILL, its own or that of a process it ran: the kernel's killer says nothing itself.
    if code == 137
        && let Some(shortage) = cgroup.as_ref().and_then(OomReport::of)
    {
        warnings.push(Error::invalid(format_args!("the container's cgroup ran {shortage}")));
    }
    // Somebody may have deleted it.
    if !keep && directory.lock()? {
        // What cannot be removed is left for `delete` to find; the program's exit status is the answer.
        let removed = match has_other_resources {
            true => delete::remove(&directory, warnings),
            false => cgroup.map_or(Ok(()), |cgroup| cgroup.remove()).and_then(|()| directory.remove()),
        };
        warnings.extend(removed.err());
    }
    Ok(code)
}
