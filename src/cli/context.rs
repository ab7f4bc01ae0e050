//! The values of the global options and of the environment variables that commands use.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

use mote::cgroup::manager::Requested;
use mote::container::store::directory::Store;
use mote::error::{Error, Result};

use super::log::Log;

/// The values of the global options and of the environment variables that commands use.
pub struct Context {
    pub store: Store,
    pub log: Log,
    pub manager: Requested,
    /// Number of consecutive file descriptors, from 3 on, that mote inherited from its caller.
    pub passed: u32,
    /// NOTIFY_SOCKET: the socket that receives the container's readiness notification (sd_notify(3)).
    pub notify_socket: Option<CString>,
    /// RUN_OCI_SECCOMP_RECEIVER: the socket that receives the seccomp listener fd if config.json names none.
    pub seccomp_receiver: Option<CString>,
}

impl Context {
    /// Runs `act` and logs the warnings that it collects.
    pub fn warning<T>(&self, act: impl FnOnce(&mut Vec<Error>) -> Result<T>) -> Result<T> {
        let mut warnings = Vec::new();
        let done = act(&mut warnings);
        warnings.iter().for_each(|warning| self.log.warning(warning));
        done
    }
}

/// The value of an environment variable; an empty one counts as unset.
pub fn variable(name: &str) -> Option<CString> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    CString::new(value.into_vec()).ok()
}
