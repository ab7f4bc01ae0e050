//! keyctl(2): the session keyring.

use linux_raw_sys::general::__NR_keyctl;
use rustix::io::Result;

/// `KEYCTL_JOIN_SESSION_KEYRING` of include/uapi/linux/keyctl.h.
const JOIN_SESSION_KEYRING: usize = 1;

/// Creates an anonymous session keyring and joins it.
pub fn new_session_keyring() -> Result<()> {
    // SAFETY: a null pointer means an anonymous keyring; the kernel reads no memory.
    super::check(unsafe { super::raw::syscall2(__NR_keyctl as usize, JOIN_SESSION_KEYRING, 0) }).map(drop)
}
