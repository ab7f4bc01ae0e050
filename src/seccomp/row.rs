//! A row of `table.rs`: a system call and its numbers.

/// A name and its numbers, as `table.rs` has it.
#[derive(Clone, Copy)]
pub(super) struct Row(pub &'static str, pub [u16; COLUMNS]);

/// The architecture has no such call.
pub(super) const NIL: u16 = u16::MAX;

/// Columns of the table.
pub(super) const COLUMNS: usize = 18;

/// A call with the same number everywhere.
pub(super) const fn all(name: &'static str, number: u16) -> Row {
    Row(name, [number; COLUMNS])
}
