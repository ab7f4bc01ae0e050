//! Lookup of system calls by name in the packed tables (`pack.rs`), and their numbers.

use super::pack::{self, COUNT, HASHES, IPC, LETTERS, hash};
use super::row::{COLUMNS, NIL};

/// The number of slots. A slot is an index that stands for the number of a call on one architecture: equal to the
/// number in the table, or, for the private calls of arm, one of the last 16. The table has these as 0xf000 and
/// above.
pub(super) const SLOTS: usize = 1024;
const OWN: usize = SLOTS - 16;

static STARTS: [u16; COUNT + 1] = pack::starts();
static TEXT: [u8; LETTERS] = pack::text();
static HASHED: [u16; HASHES] = pack::hashed();
static NUMBERS: [[u16; COUNT]; COLUMNS] = pack::numbers();
static CARRIED: [u8; COUNT] = pack::carried();

/// A known name: the index of its row in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u16);

/// The multiplexer through which a call is also available, and the value of its first argument for that call.
pub(super) enum Carrier {
    Socketcall(u8),
    Ipc(u8),
}

impl Name {
    /// The row with this name; `None` if no architecture has such a call.
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

    /// The slot of the call in a column, below [`SLOTS`]; `None` if the architecture does not have it. Slots are in the
    /// order of the numbers.
    #[inline(always)]
    pub(super) fn slot(self, column: u8) -> Option<usize> {
        match *NUMBERS.get(usize::from(column))?.get(usize::from(self.0))? {
            NIL => None,
            own @ 0xf000.. => Some(OWN + usize::from(own & 15)),
            number => Some(usize::from(number)),
        }
    }

    /// The multiplexer of the call, on architectures that have one.
    pub(super) fn carrier(self) -> Option<Carrier> {
        match *CARRIED.get(usize::from(self.0))? {
            0 => None,
            ipc @ IPC.. => Some(Carrier::Ipc(ipc - IPC)),
            socket => Some(Carrier::Socketcall(socket)),
        }
    }
}

/// The number that a slot stands for, without the base of the architecture.
pub(super) fn number(slot: usize) -> u32 {
    match slot {
        OWN.. => 0x0f_0000 + (slot - OWN) as u32,
        _ => slot as u32,
    }
}
