//! A new session keyring for the process (session-keyring(7)), so that it has no access to the keys of mote's caller.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::label::label_keys;
use crate::error::{On, Result};
use crate::sys::key::new_session_keyring;

/// The keyring to create; `None` with `--no-new-keyring`.
#[derive(Debug, Default)]
pub struct Plan<'a>(pub Option<Keyring<'a>>);

/// A new session keyring.
#[derive(Debug, Default)]
pub struct Keyring<'a> {
    /// The SELinux label of the keyring, which is that of the process.
    pub label: Option<&'a CStr>,
}

impl Plan<'_> {
    /// Creates an anonymous keyring. With a name, another process could create a keyring of that name before, and
    /// this one would join it, so that its keys could be read. ENOSYS is ignored: a kernel without CONFIG_KEYS has no
    /// keys that could leak. `proc` is the host's procfs.
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
