//! Readers for values that occur in several sections: IDs, paths, words.

use core::ffi::CStr;

use crate::json::Decoder;

/// The highest user or group ID: to the kernel 4294967295, which is -1, means "no change".
pub const MAX_ID: u32 = u32::MAX - 1;

/// The absolute path of a file that is not a directory.
pub fn absolute_file<'a>(d: &mut Decoder<'a>) -> &'a CStr {
    // Trailing slashes are dropped, which only a directory may have.
    let path = d.cstr_without_end(|byte| *byte == b'/');
    check_absolute(d, path)
}

/// Checks that a path is absolute.
pub fn check_absolute<'a>(d: &mut Decoder<'_>, path: &'a CStr) -> &'a CStr {
    d.check(path.to_bytes().starts_with(b"/"), "must be an absolute path");
    path
}

/// A string, or `None` if it is empty: engines write `""` for an optional value that is not set.
pub fn non_empty<'a>(d: &mut Decoder<'a>) -> Option<&'a CStr> {
    Some(d.cstr()).filter(|text| !text.is_empty())
}

/// A user or group ID.
pub fn id(d: &mut Decoder<'_>) -> u32 {
    let value = d.integer();
    if value > MAX_ID {
        d.fail(format_args!("{value} is not an id"));
    }
    value
}

/// A string that must be one of `names`; `what` is its name in errors.
pub fn word<'a>(d: &mut Decoder<'a>, what: &str, names: &'static [&'static str]) -> &'a str {
    let place = d.one_of(what, names.iter().copied());
    place.and_then(|place| names.get(place)).copied().unwrap_or_default()
}
