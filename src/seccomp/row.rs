//! The type of the rows in `table.rs`.

/// The name of a system call, and its number in each column of `table.rs`.
#[derive(Clone, Copy)]
pub(super) struct Row(pub &'static str, pub [u16; COLUMNS]);

/// In place of a number: the architecture does not have the call.
pub(super) const NIL: u16 = u16::MAX;

/// The number of columns: one for each set of syscall numbers, which several architectures may share.
pub(super) const COLUMNS: usize = 18;

/// The row of a call that has the same number on all architectures.
pub(super) const fn all(name: &'static str, number: u16) -> Row {
    Row(name, [number; COLUMNS])
}
