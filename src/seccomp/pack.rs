//! Packs the rows of `table.rs` into compact tables at compile time.
//!
//! The binary contains one string with all names, the offset of each name, a hash table of the names, and one column of
//! numbers for each architecture, of which only those that a profile needs are ever read.
// All functions are evaluated at compile time: an index out of bounds is a compile error.
#![allow(clippy::indexing_slicing)]

use super::row::COLUMNS;
use super::table::ROWS;

pub(super) const COUNT: usize = ROWS.len();
pub(super) const LETTERS: usize = starts()[COUNT] as usize;
/// The size of the hash table: twice the number of rows, so that a free place is always near.
pub(super) const HASHES: usize = 1024;

/// The calls that some architectures also have through socketcall(2). Its first argument is 1 for the first of them, 2
/// for the second, and so on.
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The calls that some architectures also have through ipc(2), and its first argument (include/uapi/linux/ipc.h).
const IPC_CALLS: [(&str, u8); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// Added to the values of ipc(2) in [`carried`].
pub(super) const IPC: u8 = 100;

/// The offset of each name in [`text`], and the end of the last.
pub(super) const fn starts() -> [u16; COUNT + 1] {
    let mut starts = [0; COUNT + 1];
    let mut row = 0;
    while row < COUNT {
        starts[row + 1] = starts[row] + ROWS[row].0.len() as u16;
        row += 1;
    }
    starts
}

/// All names, concatenated.
pub(super) const fn text() -> [u8; LETTERS] {
    let mut text = [0; LETTERS];
    let (mut row, mut end) = (0, 0);
    while row < COUNT {
        let mut name = ROWS[row].0.as_bytes();
        while let [first, behind @ ..] = name {
            text[end] = *first;
            end += 1;
            name = behind;
        }
        row += 1;
    }
    text
}

/// A hash table of names with linear probing; the values are rows.
pub(super) const fn hashed() -> [u16; HASHES] {
    let mut hashed = [u16::MAX; HASHES];
    let mut row = 0;
    while row < COUNT {
        let mut at = hash(ROWS[row].0.as_bytes());
        while hashed[at] != u16::MAX {
            at = (at + 1) % HASHES;
        }
        hashed[at] = row as u16;
        row += 1;
    }
    hashed
}

/// The numbers, by column.
pub(super) const fn numbers() -> [[u16; COUNT]; COLUMNS] {
    let mut numbers = [[0; COUNT]; COLUMNS];
    let mut at = 0;
    while at < COUNT * COLUMNS {
        numbers[at / COUNT][at % COUNT] = ROWS[at % COUNT].1[at / COUNT];
        at += 1;
    }
    numbers
}

/// For each row the first argument of socketcall(2), or that of ipc(2) plus [`IPC`]; 0 if the call is available through
/// neither.
pub(super) const fn carried() -> [u8; COUNT] {
    let mut carried = [0; COUNT];
    let mut call = 0;
    while call < SOCKET_CALLS.len() {
        carried[find(SOCKET_CALLS[call])] = call as u8 + 1;
        call += 1;
    }
    call = 0;
    while call < IPC_CALLS.len() {
        carried[find(IPC_CALLS[call].0)] = IPC + IPC_CALLS[call].1;
        call += 1;
    }
    carried
}

const fn find(name: &str) -> usize {
    let mut row = 0;
    while !same(ROWS[row].0.as_bytes(), name.as_bytes()) {
        row += 1;
    }
    row
}

/// Compares two names. Unlike `==`, it can be used in constants, and does not call memcmp(3), which in musl compares
/// byte by byte.
pub(super) const fn same(mut one: &[u8], mut other: &[u8]) -> bool {
    if one.len() != other.len() || end(one) != end(other) {
        return false;
    }
    while let (Some((eight, rest)), Some((other_eight, other_rest))) =
        (one.split_first_chunk(), other.split_first_chunk())
    {
        if u64::from_le_bytes(*eight) != u64::from_le_bytes(*other_eight) {
            return false;
        }
        (one, other) = (rest, other_rest);
    }
    true
}

/// The hash of a name, with one multiplication for every eight bytes. The index consists of the highest bits of the
/// product, since these depend on all bits of the factors.
#[inline(always)]
pub(super) const fn hash(name: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = end(name);
    let mut rest = name;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        hash = hash.wrapping_mul(MIX) ^ u64::from_le_bytes(*eight);
        rest = behind;
    }
    (hash.wrapping_mul(MIX) >> (u64::BITS - HASHES.ilog2())) as usize
}

/// The last eight bytes of a name, or all if it is shorter. Names shorter than eight bytes are equal if these and the
/// lengths are.
pub(super) const fn end(name: &[u8]) -> u64 {
    if let Some(last) = name.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    match (name.first_chunk(), name.last_chunk(), name) {
        (Some(first), Some(last), _) => {
            (u32::from_le_bytes(*first) as u64) << 32 | u32::from_le_bytes(*last) as u64
        }
        (_, _, [one, two @ .., three]) => {
            let two = if let [two] = two { *two } else { 0 };
            u32::from_le_bytes([*one, two, *three, 0]) as u64
        }
        (_, _, [one]) => *one as u64,
        _ => 0,
    }
}
