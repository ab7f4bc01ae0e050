//! A session keyring of the process's own (session-keyring(7)), so that keys of whoever started it are not
//! its to use.

use rustix::io::Errno;

use crate::error::{On, Result};
use crate::sys::key::new_session_keyring;

/// Whether it gets one; not with `--no-new-keyring`.
#[derive(Debug, Default)]
pub struct Plan(pub bool);

impl Plan {
    /// Makes it, without a name: a name is anybody's to take before, and a keyring then somebody else's to look
    /// into. A kernel built without keys has none that could leak.
    pub fn apply(&self) -> Result<()> {
        match self.0.then(new_session_keyring) {
            None | Some(Ok(()) | Err(Errno::NOSYS)) => Ok(()),
            Some(error) => error.on(format_args!("keyctl KEYCTL_JOIN_SESSION_KEYRING")),
        }
    }
}
