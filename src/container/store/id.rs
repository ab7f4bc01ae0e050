//! Container IDs: valid are those that crun and runc accept.

use core::ffi::CStr;
use core::fmt;

use crate::error::{Error, Result, Show};

/// NAME_MAX of include/uapi/linux/limits.h: an ID is the name of a directory.
const MAX: usize = 255;

/// Checks an ID: ASCII letters, digits and `_ + . -`, no dot at the beginning, at most 255 bytes.
pub fn check(id: &CStr) -> Result<&str> {
    let fail = |why: fmt::Arguments<'_>| {
        Err(Error::invalid(format_args!("invalid container ID \"{}\": {why}", Show(id))))
    };
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(byte);
    match id.to_bytes() {
        [] => fail(format_args!("it is empty")),
        [b'.', ..] => fail(format_args!("it begins with a dot")),
        bytes if bytes.len() > MAX => fail(format_args!("it is longer than {MAX} bytes")),
        bytes => match bytes.iter().find(|byte| !good(byte)) {
            Some(bad) => fail(format_args!("invalid character `{}`", bad.escape_ascii())),
            // ASCII is UTF-8.
            None => Ok(id.to_str().unwrap_or_default()),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids() {
        for good in [c"a", c"A-b_c+d.e9", c"0"] {
            assert!(super::check(good).is_ok());
        }
        for bad in [c"", c".", c"..", c".a", c"a/b", c"a b", c"../a", c"\xc3\xa4", c"a\n"] {
            assert!(super::check(bad).is_err(), "{bad:?}");
        }
    }
}
