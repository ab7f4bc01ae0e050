//! keyctl(2): the session keyring.

use core::ffi::CStr;

use linux_raw_sys::general::__NR_keyctl;
use rustix::io::Result;

/// `KEYCTL_JOIN_SESSION_KEYRING` of include/uapi/linux/keyctl.h.
const JOIN_SESSION_KEYRING: usize = 1;

/// Starts a new session keyring of this name, or joins one that has it.
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    // SAFETY: the name ends with a NUL and outlives the call; the kernel copies it.
    let returned =
        unsafe { sc::syscall2(__NR_keyctl as usize, JOIN_SESSION_KEYRING, name.as_ptr() as usize) };
    super::check(returned).map(drop)
}
