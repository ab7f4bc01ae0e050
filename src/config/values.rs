//! Values that several parts of a configuration have: ids, paths, words.

use core::ffi::CStr;

use crate::json::Decoder;

/// The highest user or group id; 4294967295 is the kernel's "no change".
pub const MAX_ID: u32 = u32::MAX - 1;

pub fn absolute_file<'a>(d: &mut Decoder<'a>) -> &'a CStr {
    // It is no directory.
    let path = d.cstr_without_end(|byte| *byte == b'/');
    check_absolute(d, path)
}

pub fn check_absolute<'a>(d: &mut Decoder<'_>, path: &'a CStr) -> &'a CStr {
    d.check(path.to_bytes().starts_with(b"/"), "must be an absolute path");
    path
}

/// Labels and profiles: engines write `""` for none.
pub fn non_empty<'a>(d: &mut Decoder<'a>) -> Option<&'a CStr> {
    Some(d.cstr()).filter(|text| !text.is_empty())
}

pub fn id(d: &mut Decoder<'_>) -> u32 {
    let value = d.integer();
    if value > MAX_ID {
        d.fail(format_args!("{value} is not an id"));
    }
    value
}

/// A string that must be one of a list of words.
pub fn word<'a>(d: &mut Decoder<'a>, what: &str, words: &'static [&'static str]) -> &'a str {
    let place = d.one_of(what, words.iter().copied());
    place.and_then(|place| words.get(place)).copied().unwrap_or_default()
}
