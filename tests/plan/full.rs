//! Every member of the specification, in `full.json`, and the result of changing it, in `full.txt`.
//!
//! The errors there have no position; that it is the position of the changed value is checked here.

use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;

use mote::internal::config::Config;
use mote::internal::error::Error;

use crate::print::entries;
use crate::text::{check, fail_with, path_of, show as show_entries};
use crate::value::{Step, Value, path, show};

/// Objects whose member names are data.
const MAPS: [&str; 6] = [
    "annotations",
    "linux.timeOffsets",
    "linux.netDevices",
    "linux.resources.rdma",
    "linux.resources.unified",
    "linux.sysctl",
];

static FULL: LazyLock<Value> =
    LazyLock::new(|| Value::parse(&fs::read_to_string(path_of("full.json")).unwrap()));

fn full() -> Value {
    FULL.clone()
}

fn decode(document: &Value) -> Result<String, Error> {
    let mut text = document.to_string().into_bytes();
    Config::decode("config.json", &mut text).map(|config| format!("{config:#?}"))
}

fn is_map(path: &[Step]) -> bool {
    MAPS.contains(&show(path).as_str())
}

/// The text of the document before and after the value at a path.
struct Around {
    path: String,
    before: String,
    after: String,
}

impl Around {
    fn new(path: &[Step]) -> Around {
        let mut document = full();
        *document.get_mut(path).unwrap() = Value::Plain(String::from("HERE"));
        let text = document.to_string();
        let (before, after) = text.split_once("HERE").unwrap();
        Around { path: show(path), before: before.to_owned(), after: after.to_owned() }
    }

    /// The error for another value. An error of the value itself must have its position and path, an error of an object
    /// that contains it the position of that; these are removed.
    fn error(&self, value: &str) -> Option<String> {
        let mut text = [&self.before, value, &self.after].concat().into_bytes();
        let error = Config::decode("config.json", &mut text).err()?.to_string();
        let place = format!("config.json:1:{}: ", self.before.len() + 1);
        match error.strip_prefix(&format!("{place}{}: ", self.path)) {
            Some(own) => Some(own.to_owned()),
            None => {
                let message = without_place(&error);
                assert!(!message.starts_with(&self.path), "not at {place}{error}");
                self.has_position_of_object(&error);
                Some(message)
            }
        }
    }
}

impl Around {
    /// Checks that an error has the position of the object that it names: the innermost one on its path.
    fn has_position_of_object(&self, error: &str) {
        let message = without_place(error);
        let whole = path(&self.path);
        let parts = (0..whole.len()).rev().map(|count| &whole[..count]);
        let named = parts.clone().find(|part| message.starts_with(&show(part))).unwrap_or_default();
        let column = if named.is_empty() { 1 } else { Around::new(named).before.len() + 1 };
        assert!(error.starts_with(&format!("config.json:1:{column}: ")), "not at {}: {error}", show(named));
    }
}

/// The error without `config.json:LINE:COLUMN: `.
fn without_place(error: &str) -> String {
    error.splitn(4, ':').nth(3).unwrap_or_else(|| panic!("no place: {error}")).trim_start().to_owned()
}

#[test]
fn every_member_changed() {
    let mut out = String::from("# full.json, decoded\n");
    out += &show_entries(&entries(&decode(&full()).unwrap()));
    out += "\n# Its values: type, accepted numbers (of those tried), and errors for other values\n";
    for path in full().paths() {
        let around = Around::new(&path);
        let mut document = full();
        let value = document.get_mut(&path).unwrap().clone();
        let mut line = format!("{}: {}", around.path, kind(&around, &value));
        if value.to_string().starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            line += &format!(", {}", range(&around));
        }
        for (what, text) in [("nonsense", "\"nonsense\""), ("\"\"", "\"\""), ("a NUL", "\"/a\\u0000\"")] {
            if let (true, Some(error)) = (value.to_string().starts_with('"'), around.error(text)) {
                line += &format!("; {what} -> {error}");
            }
        }
        document.remove(&path);
        if let Err(error) = decode(&document) {
            around.has_position_of_object(&error.to_string());
            line += &format!("; left out -> {}", without_place(&error.to_string()));
        }
        writeln!(out, "{line}").unwrap();
    }
    fail_with(&check("full.txt", &out).err().into_iter().collect::<Vec<_>>());
}

/// The type that the error for a value of another type expects.
fn kind(around: &Around, value: &Value) -> String {
    let (other, found) = match value {
        Value::Array(_) => (r#"{"?": 0}"#, "an object"),
        Value::Object(_) => ("[0]", "an array"),
        Value::Plain(text) if text.starts_with('"') => ("true", "a boolean"),
        Value::Plain(text) if text.starts_with(['t', 'f']) => ("7", "a number"),
        Value::Plain(_) => (r#""7""#, "a string"),
    };
    let error = around.error(other).unwrap_or_else(|| panic!("{}: {other} is accepted", around.path));
    let kind =
        error.strip_prefix("expected ").and_then(|rest| rest.strip_suffix(&format!(", found {found}")));
    kind.unwrap_or_else(|| panic!("{}: {other}: {error}", around.path)).to_owned()
}

/// The ranges of the tried numbers that a member accepts: `-1000..1000`.
fn range(around: &Around) -> String {
    let powers = [3, 7, 8, 12, 15, 16, 17, 20, 31, 32, 63, 64, 80].map(|exponent| 1i128 << exponent);
    let mut numbers: Vec<i128> = powers.iter().flat_map(|n| [n - 1, *n, -n - 1, -n]).collect();
    numbers.extend([-1001, -1000, -3, -2, -1, 0, 1, 2, 5, 6, 100, 101, 511, 512, 999, 1000, 1001]);
    numbers.extend([0o177777, 0o200000, 999_999_999, 1_000_000_000, i128::from(u32::MAX) - 1]);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(around.error("1.0").as_deref(), Some("1.0 is not an integer"));
    let tried = numbers.into_iter().map(|number| (number, around.error(&number.to_string()).is_none()));
    let tried: Vec<(i128, bool)> = tried.collect();
    let groups = tried.chunk_by(|one, next| one.1 == next.1).filter(|group| group[0].1);
    groups.map(|group| format!("{}..{}", group[0].0, group[group.len() - 1].0)).collect::<Vec<_>>().join(" ")
}

#[test]
fn null_is_absent() {
    for path in full().paths() {
        let (Some((Step::Member(_), above)), mut without, mut null) = (path.split_last(), full(), full())
        else {
            continue;
        };
        if is_map(above) {
            continue;
        }
        assert!(without.remove(&path));
        *null.get_mut(&path).unwrap() = Value::Plain(String::from("null"));
        // The position of an error differs, as the text before it does.
        let message = |error: Error| without_place(&error.to_string());
        assert_eq!(decode(&null).map_err(message), decode(&without).map_err(message), "{}", show(&path));
    }
}

#[test]
fn null_is_no_element_and_no_value_of_a_map() {
    for path in full().paths() {
        let (last, above) = path.split_last().unwrap();
        if matches!(last, Step::Element(_)) || is_map(above) {
            let around = Around::new(&path);
            let error = around.error("null").unwrap_or_else(|| panic!("{}: null is accepted", around.path));
            let kind = kind(&around, full().get_mut(&path).unwrap());
            assert_eq!(error, format!("expected {kind}, found null"), "{}", around.path);
        }
    }
}

#[test]
fn unknown_members_are_skipped() {
    let junk = r#"[{"a": [null, {}, [[]], "\ud83d\ude00"], "a": -0.0e-7}, [], "\u0000", true, false, 1E400]"#;
    let expected = decode(&full()).unwrap();
    let mut objects = full().paths();
    objects.push(Vec::new());
    let mut count = 0;
    for path in objects.iter().filter(|path| !is_map(path)) {
        for at_end in [false, true] {
            let mut document = full();
            let Value::Object(members) = document.get_mut(path).unwrap() else { break };
            for (name, value) in [("unknown", junk), ("unknown", "null"), ("Type", "{}"), ("", "\"\"")] {
                let place = if at_end { members.len() } else { 0 };
                members.insert(place, (name.to_owned(), Value::Plain(value.to_owned())));
            }
            assert_eq!(decode(&document).unwrap(), expected, "{}", show(path));
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn the_order_of_members_does_not_matter() {
    fn reverse(value: &mut Value) {
        match value {
            Value::Plain(_) => {}
            Value::Array(elements) => elements.iter_mut().for_each(reverse),
            Value::Object(members) => {
                members.reverse();
                members.iter_mut().for_each(|(_, value)| reverse(value));
            }
        }
    }
    let mut document = full();
    // Except clock offsets, which have the order of the file; nothing depends on it.
    document.remove(&path("linux.timeOffsets"));
    let expected = decode(&document).unwrap();
    reverse(&mut document);
    assert_eq!(decode(&document).unwrap(), expected);
}
