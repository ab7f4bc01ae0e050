//! The kinds of the messages that the program sends.

/// A line of JSON.
pub(crate) const EVENT: u32 = 0;
/// The operation is done: its warnings and its result.
pub(crate) const DONE: u32 = 1;
/// The operation has failed: its warnings and its error.
pub(crate) const FAILED: u32 = 2;
/// The process that the operation has started has ended: its exit code, or the number of the signal that killed it.
pub(crate) const ENDED: u32 = 3;
