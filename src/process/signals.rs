//! Signal mask and dispositions of the program (signal(7), execve(2)): no signal is blocked or ignored. execve resets
//! handlers, but not what mote's caller has blocked or ignored.

use rustix::io::Errno;

use super::calls::OnFailure;
use crate::caller::{members, restore_signals};
use crate::error::{Error, On, Result};
use crate::sys::call_list::CallList;
use crate::sys::signal::{Set, block_call, set_default_call};

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

    /// Adds the calls of [`Plan::apply`] to a list.
    pub fn add_to(self, list: &mut CallList, fail: &mut OnFailure<'_>) {
        for signal in members(self.ignored) {
            let call = set_default_call(list, signal);
            list.add(call);
        }
        let failure = fail(list, Error::system(Errno::INVAL, format_args!("rt_sigprocmask")));
        let call = block_call(list, Set::NONE).or(failure);
        list.add(call);
    }
}
