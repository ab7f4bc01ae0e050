//! The values of the global options and of the environment variables that commands use.

use alloc::ffi::CString;
use alloc::vec::Vec;

use mote::internal::container::outcome::Outcome;
use mote::internal::container::store::directory::Store;
use mote::internal::engine::{Engine, Reports, Run};
use mote::internal::error::Result;

use super::log::Log;
use crate::start;

/// The values of the global options and of the environment variables that commands use.
pub struct Context {
    pub engine: Engine,
    pub log: Log,
    /// Number of consecutive file descriptors, from 3 on, that mote inherited from its caller.
    pub passed: u32,
    /// NOTIFY_SOCKET: the socket that receives the container's readiness notification (sd_notify(3)).
    pub notify_socket: Option<CString>,
    /// RUN_OCI_SECCOMP_RECEIVER: the socket that receives the seccomp listener fd if config.json names none.
    pub seccomp_receiver: Option<CString>,
}

impl Context {
    /// Carries out an operation, and logs its warnings.
    pub fn perform<O: Run>(&self, operation: &O) -> Result<O::Output> {
        let mut reports = Reports { warnings: Vec::new(), events: &mut |_| Ok(()), output: None };
        let done = self.engine.perform(operation, &mut reports);
        reports.warnings.iter().for_each(|warning| self.log.warning(warning));
        done
    }

    /// Carries out an operation that starts a process. Returns the exit code: that of the process, or 0 if it runs on.
    pub fn start<O: Run<Output = Outcome>>(&self, operation: &O) -> Result<i32> {
        self.perform(operation).map(|outcome| match outcome {
            Outcome::Running(..) => 0,
            Outcome::Ended(code) => code,
        })
    }

    /// The directory for the state of all containers.
    pub fn store(&self) -> &Store {
        self.engine.store()
    }
}

/// The value of an environment variable; an empty one counts as unset.
pub fn variable(name: &str) -> Option<CString> {
    start::variable(name).filter(|value| !value.is_empty()).map(CString::from)
}
