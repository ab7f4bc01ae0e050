//! Signals as a program finds them (signal(7), execve(2)): none blocked, none ignored. Handlers end with
//! execve; what mote's caller ignored or blocked would not.

use crate::error::{On, Result};
use crate::sys::signal::{Set, block, set_default};

/// The signals that are ignored now: bit n-1 is signal n.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub ignored: u64,
}

impl Plan {
    /// Ends both. A signal that came while it was blocked is the program's.
    pub fn apply(self) -> Result<()> {
        for signal in (1..=64).filter(|signal| self.ignored & 1 << (signal - 1) != 0) {
            // KILL and STOP are never ignored, and the kernel says EINVAL.
            let _ = set_default(signal);
        }
        block(Set::NONE).map(drop).on(format_args!("rt_sigprocmask"))
    }
}
