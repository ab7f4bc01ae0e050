//! The result of an operation that starts a process.

use rustix::fd::OwnedFd;
use rustix::process::Pid;

use crate::os::descriptor::Descriptor;

/// A process that an operation has started: the container init, or an exec process.
#[derive(Debug)]
pub enum Outcome {
    /// It runs, or waits for `start`: its PID and pidfd.
    Running(i32, Descriptor),
    /// The operation has waited for it. Its exit status; 128 plus the signal number if a signal killed it.
    Ended(i32),
}

impl Outcome {
    pub(super) fn running(pid: Pid, pidfd: OwnedFd) -> Self {
        Outcome::Running(pid.as_raw_nonzero().get(), pidfd.into())
    }
}
