//! Signal mask and dispositions of the program (signal(7), execve(2)): no signal is blocked or ignored. execve resets
//! handlers, but not what mote's caller has blocked or ignored.

use crate::caller::restore_signals;
use crate::error::{On, Result};

/// The signals that are currently ignored: bit n-1 is signal n.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub ignored: u64,
}

impl Plan {
    /// Unblocks all signals, and resets the ignored ones to their default action.
    pub fn apply(self) -> Result<()> {
        restore_signals(self.ignored).on(format_args!("rt_sigprocmask"))
    }
}
