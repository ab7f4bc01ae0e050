//! The global options and the environment, as commands need them.

use std::ffi::CString;

use mote::cgroup::manager::Requested;
use mote::container::store::directory::Store;
use mote::error::{Error, Result};

use super::log::Log;

/// The values of the global options, and of the environment.
pub struct Context {
    pub store: Store,
    pub log: Log,
    pub manager: Requested,
    /// How many descriptors from 3 on the caller has passed, whether they are the container's or not.
    pub passed: u32,
    /// NOTIFY_SOCKET: where the readiness of a container is reported (sd_notify(3)).
    pub notify_socket: Option<CString>,
    /// Who takes the listener of a seccomp filter where the configuration names nobody, as for crun.
    pub seccomp_receiver: Option<CString>,
}

impl Context {
    /// Does something, and says what was worth a word on the way.
    pub fn warning<T>(&self, act: impl FnOnce(&mut Vec<Error>) -> Result<T>) -> Result<T> {
        let mut warnings = Vec::new();
        let done = act(&mut warnings);
        warnings.iter().for_each(|warning| self.log.warning(warning));
        done
    }
}
