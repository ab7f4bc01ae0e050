//! A pull decoder for JSON (RFC 8259), designed for config.json.
//!
//! Strings are slices of the file's buffer: they are unescaped in place, and the closing quote is replaced by the NUL
//! that system calls need. Unknown members are checked and skipped without allocation. The decoder is stricter than the
//! RFC where two decoders could read different values from a file; it rejects members given twice, lone surrogates,
//! numbers that are not plain integers where one is expected, and data after the document. `null` is an absent member,
//! as in Go's encoding/json.
//!
//! Each error is one line: `NAME:LINE:COLUMN: process.rlimits[2].type: unknown limit "RLIMIT_FOO"`. Lines and columns
//! count from 1, columns in bytes.

mod decoder;
mod integer;
mod list;
mod scalar;
mod text;

pub use decoder::{Decoder, Elements, MAX_DEPTH, MAX_SIZE, Members};
pub use integer::Integer;
