//! A pull decoder for JSON (RFC 8259), made for config.json.
//!
//! It owns the file's buffer and gives out strings that live in it: a string is unescaped where it stands,
//! and the quote that ends it becomes the NUL that a system call wants. Members nobody asks for are checked
//! and skipped without allocation. Stricter than the RFC asks where two readers of one file could see two
//! things: a member given twice, a lone surrogate, a number that is not a plain integer where one is
//! wanted, bytes after the document. `null` is an absent member, as in Go's encoding/json.
//!
//! Every error is one line: `NAME:LINE:COLUMN: process.rlimits[2].type: unknown limit "RLIMIT_FOO"`.
//! Lines and columns count from 1, columns in bytes.

mod decoder;
mod integer;
mod list;
mod scalar;
mod text;

pub use decoder::{Decoder, Elements, MAX_DEPTH, MAX_SIZE, Members};
pub use integer::Integer;
