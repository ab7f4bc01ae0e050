//! The placeholder process of a scope: systemd creates a scope around existing processes and removes it with the last
//! one, but the container init is cloned into the cgroup when everything is ready.

use alloc::format;
use core::convert::Infallible;

use rustix::event::poll;
use rustix::fd::OwnedFd;
use rustix::io::write;
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::cgroup::fs::hierarchies::Hierarchies;
use crate::cgroup::fs::path::FullPath;
use crate::error::{On, Result};
use crate::sys::clone::{exit, spawn};
use crate::sys::fd::close_all_from;
use crate::sys::pidfd::reap;
use crate::sys::signal::send;

/// The process; it ends with its owner, at the latest with this process.
pub struct Placeholder {
    pub pid: Pid,
    pidfd: OwnedFd,
}

impl Placeholder {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let parent = getpid();
        let (pid, pidfd) = spawn(0, None, || hold(parent)).on(format_args!("clone3"))?;
        Ok(Placeholder { pid, pidfd })
    }

    /// Moves it to a cgroup v2.
    pub fn move_to(&self, hierarchies: &Hierarchies, directory: &str) -> Result<()> {
        let file = format!("{directory}/cgroup.procs");
        let text = format!("{}", self.pid.as_raw_nonzero());
        let fd = hierarchies.open_to_write(&file)?;
        write(&fd, text.as_bytes()).map(drop).on(format_args!("write {text} to {}", FullPath(&file)))
    }
}

impl Drop for Placeholder {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        let _ = send(&self.pidfd, Signal::KILL.as_raw());
        reap(&self.pidfd);
    }
}

/// Does nothing, and has nothing open that somebody could wait for the end of.
fn hold(parent: Pid) -> Infallible {
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    if bound.is_err() || getppid() != Some(parent) || close_all_from(0, &mut []).is_err() {
        exit(1)
    }
    loop {
        let _ = poll(&mut [], None);
    }
}
