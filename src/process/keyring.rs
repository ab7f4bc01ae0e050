//! A session keyring of the container's own (session-keyring(7)), so that keys of whoever started it are
//! not its to use.

use core::ffi::CStr;

use rustix::io::Errno;

use crate::error::{On, Result, Show};
use crate::sys::key::join_session_keyring;

/// The keyring's name; `None` with `--no-new-keyring`.
#[derive(Debug, Default)]
pub struct Plan<'a>(pub Option<&'a CStr>);

impl Plan<'_> {
    /// Joins it. A kernel built without keys has none that could leak.
    pub fn apply(&self) -> Result<()> {
        match self.0.map(join_session_keyring) {
            None | Some(Ok(())) | Some(Err(Errno::NOSYS)) => Ok(()),
            Some(error) => {
                let name = self.0.unwrap_or_default();
                error.on(format_args!("keyctl KEYCTL_JOIN_SESSION_KEYRING {}", Show(name)))
            }
        }
    }
}
