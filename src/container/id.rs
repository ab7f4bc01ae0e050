//! Container ids: what crun and runc take.

use core::ffi::CStr;

use crate::error::{Error, Result, Show};

/// NAME_MAX of include/uapi/linux/limits.h: an id is a directory's name.
const MAX: usize = 255;

/// Checks an id: letters, digits and `_ + . -`, not beginning with a dot.
pub fn check(id: &CStr) -> Result<&str> {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(byte);
    let bytes = id.to_bytes();
    if bytes.is_empty() || bytes.len() > MAX || bytes.starts_with(b".") || !bytes.iter().all(good) {
        return Err(Error::invalid(format_args!(
            "invalid container id \"{}\": it consists of letters, digits and _+.- and does not begin with a dot",
            Show(id)
        )));
    }
    // All of it is ASCII.
    Ok(id.to_str().unwrap_or_default())
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
