//! A session keyring of the process's own (session-keyring(7)), so that keys of whoever started it are not
//! its to use.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::label::label_keys;
use crate::error::{On, Result};
use crate::sys::key::new_session_keyring;

/// The keyring; `None` with `--no-new-keyring`.
#[derive(Debug, Default)]
pub struct Plan<'a>(pub Option<Keyring<'a>>);

/// A new one.
#[derive(Debug, Default)]
pub struct Keyring<'a> {
    /// What SELinux knows it by: as it knows the process.
    pub label: Option<&'a CStr>,
}

impl Plan<'_> {
    /// Makes it, without a name: a name is anybody's to take before, and a keyring then somebody else's to look
    /// into. A kernel built without keys has none that could leak. `proc` is the host's procfs.
    pub fn apply(&self, proc: Option<&OwnedFd>) -> Result<()> {
        let Some(keyring) = &self.0 else { return Ok(()) };
        let labelled = proc.zip(keyring.label);
        if let Some((proc, label)) = labelled {
            label_keys(proc, label)?;
        }
        match new_session_keyring() {
            Ok(()) | Err(Errno::NOSYS) => {}
            made => made.on(format_args!("keyctl KEYCTL_JOIN_SESSION_KEYRING"))?,
        }
        match labelled {
            Some((proc, _)) => label_keys(proc, c""),
            None => Ok(()),
        }
    }
}
