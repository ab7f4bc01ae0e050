//! The decoder of config.json: malformed documents, its limits, and a comparison with a second JSON reader
//! (`json/reference.rs`) on damaged and random documents.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "json/damage.rs"]
mod damage;
#[path = "json/limits.rs"]
mod limits;
#[path = "json/malformed.rs"]
mod malformed;
#[path = "json/random.rs"]
mod random;
#[path = "json/reference.rs"]
mod reference;
#[path = "json/values.rs"]
mod values;

use mote::internal::json::Decoder;

/// Decodes a document with these calls, up to its end.
fn read<T>(document: impl AsRef<[u8]>, calls: impl FnOnce(&mut Decoder<'_>) -> T) -> Result<T, String> {
    let mut text = document.as_ref().to_vec();
    let mut decoder = Decoder::new("t", &mut text);
    let value = calls(&mut decoder);
    decoder.finish().map(|()| value).map_err(|error| error.to_string())
}

/// Decodes a document and skips all values.
fn skip(document: impl AsRef<[u8]>) -> Result<(), String> {
    read(document, |d| d.skip())
}

/// The error of a document whose values are skipped.
fn error(document: impl AsRef<[u8]>) -> String {
    let shown = document.as_ref().escape_ascii().to_string();
    skip(document).err().unwrap_or_else(|| panic!("{shown} is accepted"))
}
