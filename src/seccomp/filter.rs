//! The compiled filter, its actions, and the parameters of a compilation besides the profile.

use alloc::vec::Vec;
use core::fmt;

use super::arch::Arch;
use crate::error::{Error, Result};

// The actions that a filter returns (seccomp(2), "Filter return values"; include/uapi/linux/seccomp.h).

/// `SECCOMP_RET_ALLOW`
pub const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO`; the lower 16 bits are the error number.
pub const ERRNO: u32 = 0x0005_0000;
/// `SECCOMP_RET_KILL_PROCESS`
pub const KILL_PROCESS: u32 = 0x8000_0000;
/// `SECCOMP_RET_KILL_THREAD`
pub const KILL_THREAD: u32 = 0;
/// `SECCOMP_RET_LOG`
pub const LOG: u32 = 0x7ffc_0000;
/// `SECCOMP_RET_USER_NOTIF`
pub const NOTIFY: u32 = 0x7fc0_0000;
/// `SECCOMP_RET_TRACE`; the lower 16 bits are a message to the tracer.
pub const TRACE: u32 = 0x7ff0_0000;
/// `SECCOMP_RET_TRAP`
pub const TRAP: u32 = 0x0003_0000;

/// A compiled filter, which `load.rs` loads.
#[derive(Default)]
pub struct Filter<'a> {
    /// 1 to 4096 `struct sock_filter`s.
    pub instructions: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Names in rules that are not system calls of any architecture, and have been ignored.
    pub unknown: Vec<&'a [u8]>,
    /// As [`Context::ordinary`].
    pub ordinary: bool,
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unknown) = (self.instructions.len(), self.unknown.len());
        write!(f, "{count} instructions, flags {:#x}, {unknown} unknown names", self.flags)
    }
}

/// The parameters of a compilation besides the profile.
#[derive(Clone, Copy)]
pub struct Context {
    /// The architecture of the machine.
    pub native: &'static Arch,
    /// Whether a socket for the listener fd is configured, by `listenerPath` or an annotation. Then the filter has a
    /// listener, even if SCMP_ACT_NOTIFY is not used, as in crun.
    pub has_receiver: bool,
    /// Whether mote lacks CAP_SYS_PTRACE, so that it has access to the process, to take the listener fd out of it, only
    /// as the same user.
    pub ordinary: bool,
}

impl Context {
    /// Checks that an action can be used: SCMP_ACT_NOTIFY requires a socket for the listener fd.
    pub(super) fn check(self, action: u32) -> Result<()> {
        match action {
            NOTIFY if !self.has_receiver => {
                Err(Error::invalid(format_args!("SCMP_ACT_NOTIFY needs listenerPath")))
            }
            _ => Ok(()),
        }
    }
}
