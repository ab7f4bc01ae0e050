//! Strings that are terminated by a NUL.

/// A string of [`super::decoder::Decoder::raw_string`] without its terminating NUL.
pub fn without_nul(text: &[u8]) -> &[u8] {
    text.split_last().map(|(_, text)| text).unwrap_or_default()
}
