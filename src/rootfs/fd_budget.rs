//! How many file descriptors may stay open, by the limit on them (getrlimit(2), RLIMIT_NOFILE).

use core::cell::Cell;

use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::process::{Resource, getrlimit};

/// Which descriptors may be left open. The kernel gives the lowest number that is free, so a number tells how many are
/// open.
pub struct FdBudget {
    /// Numbers from here on may not.
    end: Cell<RawFd>,
    /// As a part of the limit, and at most so many; `None` when the limit is known.
    part: Cell<Option<(u64, RawFd)>>,
}

/// So many there are under any limit that mote can work with; a usual start has fewer, and asks for no limit.
const ALWAYS_ALLOWED: RawFd = 96;

impl FdBudget {
    /// Room for one `part`th of the limit, and for `most`.
    pub fn new(part: u64, most: RawFd) -> Self {
        FdBudget { end: Cell::new(ALWAYS_ALLOWED), part: Cell::new(Some((part, most))) }
    }

    /// Whether this one may be left open.
    pub fn has(&self, fd: &OwnedFd) -> bool {
        fd.as_raw_fd() < self.end.get() || self.ask(fd.as_raw_fd())
    }

    fn ask(&self, number: RawFd) -> bool {
        let Some((part, most)) = self.part.take() else { return false };
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.end.set(RawFd::try_from(limit / part).unwrap_or(RawFd::MAX).min(most));
        number < self.end.get()
    }
}
