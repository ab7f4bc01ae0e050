//! Signals as a program finds them (signal(7), execve(2)): none blocked, none ignored. Handlers end with
//! execve; what mote's caller ignored or blocked would not.

use crate::caller::restore_signals;
use crate::error::{On, Result};

/// The signals that are ignored now: bit n-1 is signal n.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub ignored: u64,
}

impl Plan {
    /// Ends both.
    pub fn apply(self) -> Result<()> {
        restore_signals(self.ignored).on(format_args!("rt_sigprocmask"))
    }
}
