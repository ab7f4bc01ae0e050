//! Strings that go to system calls.

/// A string without the NUL that [`super::decoder::Decoder::raw_string`] leaves behind it.
pub fn without_nul(text: &[u8]) -> &[u8] {
    text.split_last().map(|(_, text)| text).unwrap_or_default()
}
