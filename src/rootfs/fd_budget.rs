//! The number of file descriptors that may be left open, a part of the limit (getrlimit(2), RLIMIT_NOFILE).

use core::cell::Cell;

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::process::{Resource, getrlimit};

use crate::caller;

/// The file descriptors that may be left open. The kernel assigns the lowest free number, so a number is a measure of
/// how many are open.
pub struct FdBudget {
    /// The first number that may not be left open.
    end: Cell<RawFd>,
    /// The divisor of the limit, and a maximum; `None` after the limit was considered.
    part: Cell<Option<(u64, RawFd)>>,
}

/// The number that is allowed without regard to the limit: mote cannot run with a lower one.
const ALWAYS_ALLOWED: RawFd = 16;

impl FdBudget {
    /// A budget of one `part`th of the limit, at most `most`.
    pub fn new(part: u64, most: RawFd) -> Self {
        FdBudget { end: Cell::new(ALWAYS_ALLOWED), part: Cell::new(Some((part, most))) }
    }

    /// Whether a file descriptor may be left open.
    pub fn has(&self, fd: &OwnedFd) -> bool {
        fd.as_raw_fd() < self.end.get() || self.has_within_limit(fd.as_raw_fd())
    }

    /// [`Self::has`] for a number that is not always allowed. Considers the limit when it is called first.
    #[inline(always)] // Runs in each start: see scripts/layout.ld.
    fn has_within_limit(&self, number: RawFd) -> bool {
        let Some((part, most)) = self.part.take() else { return false };
        let limit = match caller::own_open_files() {
            0 => current(),
            limit => limit,
        };
        self.end.set(RawFd::try_from(limit / part).unwrap_or(RawFd::MAX).min(most));
        number < self.end.get()
    }
}

/// The current limit, in a program that has not called [`caller::settle`].
#[cold]
#[inline(never)]
fn current() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
