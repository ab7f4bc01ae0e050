//! The placeholder process of a scope: systemd creates a scope only for existing processes and removes it with its last
//! one, but the container init is cloned into the cgroup only when everything is ready.

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
use crate::sys::signal::send_to_child;

/// The placeholder process. It is killed when this value is dropped, and when the parent dies.
pub struct Placeholder {
    pub pid: Pid,
    pidfd: OwnedFd,
}

impl Placeholder {
    /// Clones the process.
    pub fn start() -> Result<Self> {
        let parent = getpid();
        let (pid, pidfd) = spawn(0, None, || hold(parent)).on(format_args!("clone3"))?;
        Ok(Placeholder { pid, pidfd })
    }

    /// Moves the process to a v2 cgroup.
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
        let _ = send_to_child(self.pid, &self.pidfd, Signal::KILL.as_raw());
        reap(&self.pidfd);
    }
}

/// The code of the process: waits for SIGKILL. All fds are closed, so that no reader waits for its end of file.
fn hold(parent: Pid) -> Infallible {
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    if bound.is_err() || getppid() != Some(parent) || close_all_from(0, &mut []).is_err() {
        exit(1)
    }
    loop {
        let _ = poll(&mut [], None);
    }
}
