//! An operation that was begun.

use alloc::boxed::Box;
use core::fmt;

use rustix::fd::{AsFd, BorrowedFd};

use super::exchange::Exchange;
use crate::error::Result;

/// An operation that another process carries out, and whose result is not there yet. Its file descriptor becomes readable with
/// the result; [`Pending::finish`] does not wait then, but for the exit of that process. So it can be used with poll(2), and in
/// a runtime such as tokio with its `AsyncFd`.
///
/// Dropped, it waits for the operation, whose result is lost: a container that was created is deleted, a process that was
/// started is killed.
pub struct Pending<T> {
    exchange: Exchange,
    finish: Finish<T>,
}

type Finish<T> = Box<dyn FnOnce(Exchange) -> Result<T> + Send + Sync>;

impl<T> Pending<T> {
    pub(super) fn new(
        exchange: Exchange,
        finish: impl FnOnce(Exchange) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Pending { exchange, finish: Box::new(finish) }
    }

    /// Waits for the result, and returns it.
    ///
    /// Errors: those of the operation.
    pub fn finish(self) -> Result<T> {
        (self.finish)(self.exchange)
    }
}

impl<T> AsFd for Pending<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.socket()
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.exchange).finish()
    }
}

/// Defines a method that waits for an operation, and one that only begins it.
macro_rules! operation {
    ($(#[$about:meta])* $name:ident, $begin:ident(&$this:ident $(, $argument:ident: $type:ty)*) -> $output:ty $body:block) => {
        $(#[$about])*
        pub fn $name(&$this $(, $argument: $type)*) -> $crate::error::Result<$output> {
            $this.$begin($($argument),*)?.finish()
        }

        #[doc = concat!("Begins [`", stringify!($name), "`](Self::", stringify!($name), ") without waiting: see [`Pending`].")]
        pub fn $begin(&$this $(, $argument: $type)*) -> $crate::error::Result<$crate::client::pending::Pending<$output>> $body
    };
}
pub(super) use operation;
