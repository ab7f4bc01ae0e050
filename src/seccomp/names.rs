//! Names of system calls and their numbers, out of the packed table (`pack.rs`).

use super::pack::{self, COUNT, HASHES, IPC, LETTERS, hash};
use super::row::{COLUMNS, NIL};

/// How many numbers an architecture has at most: those of the table, and behind them arm's own, which the
/// table has as 0xf000 and more.
pub(super) const SLOTS: usize = 1024;
const OWN: usize = SLOTS - 16;

static STARTS: [u16; COUNT + 1] = pack::starts();
static TEXT: [u8; LETTERS] = pack::text();
static HASHED: [u16; HASHES] = pack::hashed();
static NUMBERS: [[u16; COUNT]; COLUMNS] = pack::numbers();
static CARRIED: [u8; COUNT] = pack::carried();

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u16);

/// Which call carries another one, with which first argument.
pub(super) enum Carrier {
    Socketcall(u8),
    Ipc(u8),
}

impl Name {
    /// The row of this name.
    pub(super) fn find(name: &[u8]) -> Option<Self> {
        let mut at = hash(name);
        loop {
            let row = *HASHED.get(at)?;
            let bounds = (STARTS.get(usize::from(row)), STARTS.get(usize::from(row) + 1));
            let (Some(start), Some(end)) = bounds else { return None };
            let there = TEXT.get(usize::from(*start)..usize::from(*end));
            if there.is_some_and(|there| pack::same(there, name)) {
                return Some(Name(row));
            }
            at = (at + 1) % HASHES;
        }
    }

    /// Its slot in a column, below [`SLOTS`]: in the order of the numbers.
    #[inline(always)]
    pub(super) fn slot(self, column: u8) -> Option<usize> {
        match *NUMBERS.get(usize::from(column))?.get(usize::from(self.0))? {
            NIL => None,
            own @ 0xf000.. => Some(OWN + usize::from(own & 15)),
            number => Some(usize::from(number)),
        }
    }

    /// What carries it where there is such a call.
    pub(super) fn carrier(self) -> Option<Carrier> {
        match *CARRIED.get(usize::from(self.0))? {
            0 => None,
            ipc @ IPC.. => Some(Carrier::Ipc(ipc - IPC)),
            socket => Some(Carrier::Socketcall(socket)),
        }
    }
}

/// The number of a slot, without what the architecture adds to all.
pub(super) fn number(slot: usize) -> u32 {
    match slot {
        OWN.. => 0x0f_0000 + (slot - OWN) as u32,
        _ => slot as u32,
    }
}
