//! Unit properties requested by annotations: `org.systemd.property.NAME`, with a value in the GVariant Text Format, of
//! the types that unit properties have.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::property::Property;
use crate::error::{Error, Result, Show};
use crate::os::dbus::message::Value;

const PREFIX: &[u8] = b"org.systemd.property.";

/// The properties that annotations request. Errors: an invalid name or value.
pub fn plan(annotations: &[(&CStr, &CStr)]) -> Result<Vec<Property>> {
    let mut list = Vec::new();
    for (key, value) in annotations {
        let Some(name) = key.to_bytes().strip_prefix(PREFIX) else { continue };
        let fail = |why: &str| Err(Error::invalid(format_args!("annotations.{}: {why}", Show(key))));
        let name = core::str::from_utf8(name).unwrap_or_default();
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return fail("not a valid property name");
        }
        let value = value.to_str().unwrap_or_default().trim();
        // Times are in seconds in unit files (`TimeoutStopSec`), in microseconds as properties (`TimeoutStopUSec`).
        if let Some(short) = name.strip_suffix("Sec").filter(|short| !short.ends_with('U')) {
            match micro(value) {
                Some(value) => list.push((Cow::from(format!("{short}USec")), Value::U64(value))),
                None => return fail("not a number of seconds"),
            }
        } else if let Some(value) = read(value) {
            list.push((String::from(name).into(), value));
        } else {
            return fail("not a value such as 5, uint64 5, true, 'text' or ['a', 'b']");
        }
    }
    Ok(list)
}

/// Parses seconds, `5` or `0.5`, of any number type, to microseconds; the highest number means infinity.
fn micro(text: &str) -> Option<u64> {
    let number = text.split_ascii_whitespace().next_back()?;
    let known = ["uint64", "int64", "uint32", "int32", "double", ""];
    if !known.contains(&text.strip_suffix(number)?.trim_end()) {
        return None;
    }
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, digits): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    if whole == u64::MAX {
        return Some(whole);
    }
    let scale = 10u64.checked_pow(part.len() as u32)?;
    whole.checked_mul(1_000_000)?.checked_add(digits.checked_mul(1_000_000)? / scale)
}

/// Parses a text that consists of one value.
fn read(text: &str) -> Option<Value> {
    let text = text.trim();
    let (kind, number) = text.split_once(char::is_whitespace).unwrap_or(("", text));
    let number = number.trim();
    match kind {
        "uint64" => return number.parse().ok().map(Value::U64),
        "int64" => return number.parse().ok().map(Value::I64),
        "uint32" => return number.parse().ok().map(Value::U32),
        "int32" => return number.parse().ok().map(Value::I32),
        "@as" if number == "[]" => return Some(Value::Texts(Vec::new())),
        _ => {}
    }
    match text.bytes().next()? {
        b'\'' | b'"' => quoted(text).filter(|(_, rest)| rest.is_empty()).map(|(text, _)| Value::Text(text)),
        b'[' => texts(text),
        b't' | b'f' => text.parse().ok().map(Value::Bool),
        // GVariant's default type for numbers.
        _ => text.parse().ok().map(Value::I32),
    }
}

fn texts(text: &str) -> Option<Value> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut list = Vec::new();
    while !rest.is_empty() {
        let (one, behind) = quoted(rest)?;
        list.push(one);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => Some(next.trim_start()).filter(|next| !next.is_empty())?,
            None => Some(behind).filter(|behind| behind.is_empty())?,
        };
    }
    Some(Value::Texts(list))
}

/// Parses a quoted text; returns it and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut out = String::new();
    loop {
        match chars.next()? {
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            end if end == quote => return Some((out, chars.as_str())),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn values() {
        let text = |text: &str| Value::Text(text.into());
        for (written, value) in [
            ("true", Value::Bool(true)),
            (" false ", Value::Bool(false)),
            ("5", Value::I32(5)),
            ("-5", Value::I32(-5)),
            ("int32 -7", Value::I32(-7)),
            ("uint32 7", Value::U32(7)),
            ("int64  7", Value::I64(7)),
            ("uint64 18446744073709551615", Value::U64(u64::MAX)),
            ("'a b'", text("a b")),
            ("\"it's\"", text("it's")),
            (r"'it\'s \\'", text(r"it's \")),
            ("''", text("")),
            ("[]", Value::Texts(vec![])),
            ("@as []", Value::Texts(vec![])),
            ("['a', \"b\"]", Value::Texts(vec!["a".into(), "b".into()])),
        ] {
            assert_eq!(read(written), Some(value), "{written}");
        }
        for bad in [
            "",
            "x",
            "'a",
            "'a'b",
            "['a' 'b']",
            "['a',]",
            "[1]",
            "uint64 -1",
            "5 6",
            "truex",
            "uint8 5",
            "\\",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn properties() {
        let one = |key: &CStr, value: &CStr| match plan(&[(key, value)]) {
            Ok(list) => format!("{list:?}"),
            Err(error) => error.to_string(),
        };
        let seconds = "[(\"TimeoutStopUSec\", U64(90000000))]";
        assert_eq!(one(c"org.systemd.property.TimeoutStopSec", c"90"), seconds);
        assert_eq!(one(c"org.systemd.property.TimeoutStopUSec", c"uint64 90000000"), seconds);
        assert_eq!(one(c"org.systemd.property.TimeoutStopSec", c"uint64 90"), seconds);
        assert_eq!(one(c"org.systemd.property.XSec", c"1.5"), "[(\"XUSec\", U64(1500000))]");
        assert_eq!(
            one(c"org.systemd.property.CollectMode", c"'inactive'"),
            "[(\"CollectMode\", Text(\"inactive\"))]"
        );
        assert_eq!(one(c"org.systemd.other", c"x"), "[]");
        for (text, value) in [
            ("0.5", Some(500_000)),
            ("double 1.000001", Some(1_000_001)),
            ("int32  3", Some(3_000_000)),
            ("uint64 18446744073709551615", Some(u64::MAX)),
            ("18446744073709551614", None),
            ("1.", None),
            (".5", None),
            ("1.99999999999999999999", None),
            ("5 s", None),
            ("", None),
        ] {
            assert_eq!(micro(text), value, "{text}");
        }
        for (key, value, why) in [
            (c"org.systemd.property.TimeoutStopSec", c"'x'", "not a number of seconds"),
            (c"org.systemd.property.TimeoutStopSec", c"-1", "not a number of seconds"),
            (c"org.systemd.property.ab", c"1", "not a valid property name"),
            (c"org.systemd.property.a b", c"1", "not a valid property name"),
            (
                c"org.systemd.property.abc",
                c"what",
                "not a value such as 5, uint64 5, true, 'text' or ['a', 'b']",
            ),
        ] {
            assert_eq!(one(key, value), format!("annotations.{}: {why}", Show(key)));
        }
    }
}
