//! A compiled filter, the actions in it, and what a compilation depends on besides the profile.

use alloc::vec::Vec;
use core::fmt;

use super::arch::Arch;
use crate::error::{Error, Result};

/// What a filter answers (`SECCOMP_RET_*` of include/uapi/linux/seccomp.h).
pub const ALLOW: u32 = 0x7fff_0000;
pub const ERRNO: u32 = 0x0005_0000;
pub const KILL_PROCESS: u32 = 0x8000_0000;
pub const KILL_THREAD: u32 = 0;
pub const LOG: u32 = 0x7ffc_0000;
pub const NOTIFY: u32 = 0x7fc0_0000;
pub const TRACE: u32 = 0x7ff0_0000;
pub const TRAP: u32 = 0x0003_0000;

/// A filter, ready to be loaded (`load.rs`).
#[derive(Default)]
pub struct Filter<'a> {
    /// `struct sock_filter`, 1 to 4096 of them.
    pub instructions: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Names that no architecture has as a system call: rules for them were left out.
    pub unknown: Vec<&'a [u8]>,
    /// Whoever takes the listener's descriptor out of the process has no right over it but that of its user.
    pub ordinary: bool,
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unknown) = (self.instructions.len(), self.unknown.len());
        write!(f, "{count} instructions, flags {:#x}, {unknown} unknown names", self.flags)
    }
}

/// The machine and the options that a filter is compiled for.
#[derive(Clone, Copy)]
pub struct Context {
    /// The architecture of the machine.
    pub native: &'static Arch,
    /// Whether somebody takes the filter's listener: `listenerPath`, or an annotation. There is one then, whether
    /// SCMP_ACT_NOTIFY is used or not, as in crun.
    pub has_receiver: bool,
    /// mote has no CAP_SYS_PTRACE, and so no right over the process but that of its user.
    pub ordinary: bool,
}

impl Context {
    pub(super) fn check(self, action: u32) -> Result<()> {
        match action {
            NOTIFY if !self.has_receiver => {
                Err(Error::invalid(format_args!("SCMP_ACT_NOTIFY needs listenerPath")))
            }
            _ => Ok(()),
        }
    }
}
