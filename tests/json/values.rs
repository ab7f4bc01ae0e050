//! The results of the decoder's calls: types, ranges, members by name and members that are data.

extern crate alloc;

use mote::internal::json::{Decoder, Integer};

use crate::{error, read, skip};

fn integer<T: Integer>(document: &str) -> Result<T, String> {
    read(document, |d| d.integer())
}

#[test]
fn integers_of_every_width() {
    assert_eq!(integer("0"), Ok(0u8));
    assert_eq!(integer("-0"), Ok(0u32));
    assert_eq!(integer("255"), Ok(255u8));
    assert_eq!(integer("65535"), Ok(u16::MAX));
    assert_eq!(integer("4294967295"), Ok(u32::MAX));
    assert_eq!(integer("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(integer("-2147483648"), Ok(i32::MIN));
    assert_eq!(integer("2147483647"), Ok(i32::MAX));
    assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
}

#[test]
fn integers_out_of_range() {
    let out = |text: &str| Err(format!("t:1:1: {text} is out of range"));
    assert_eq!(integer::<u8>("256"), out("256").map(|()| 0));
    assert_eq!(integer::<u16>("65536"), out("65536").map(|()| 0));
    assert_eq!(integer::<u32>("4294967296"), out("4294967296").map(|()| 0));
    assert_eq!(integer::<u32>("-1"), out("-1").map(|()| 0));
    assert_eq!(integer::<u64>("18446744073709551616"), out("18446744073709551616").map(|()| 0));
    assert_eq!(integer::<u64>("-1"), out("-1").map(|()| 0));
    assert_eq!(integer::<i32>("2147483648"), out("2147483648").map(|()| 0));
    assert_eq!(integer::<i32>("-2147483649"), out("-2147483649").map(|()| 0));
    assert_eq!(integer::<i64>("9223372036854775808"), out("9223372036854775808").map(|()| 0));
    assert_eq!(integer::<i64>("-9223372036854775809"), out("-9223372036854775809").map(|()| 0));
    // Wider than any integer type.
    let long = "7".repeat(60);
    assert_eq!(integer::<i64>(&long), out(&long).map(|()| 0));
    assert_eq!(integer::<u64>(&format!("-{long}")), out(&format!("-{long}")).map(|()| 0));
}

#[test]
fn numbers_that_are_no_integers() {
    for text in ["1.0", "1e3", "1E0", "-0.0", "10e-1", "1.5"] {
        assert_eq!(integer::<i64>(text), Err(format!("t:1:1: {text} is not an integer")));
    }
    assert_eq!(integer::<i64>("01"), Err("t:1:1: not a JSON number".into()));
    assert_eq!(integer::<i64>("1x"), Err("t:1:2: data after the end of the document".into()));
}

#[test]
fn values_of_other_types() {
    let values = [
        ("\"\"", "a string"),
        ("{}", "an object"),
        ("[]", "an array"),
        ("true", "a boolean"),
        ("false", "a boolean"),
        ("null", "null"),
        ("-1", "a number"),
    ];
    for (document, found) in values {
        let check = |wanted: &str, result: Result<(), String>| match wanted.ends_with(found) {
            true => assert_eq!(result, Ok(()), "{document}"),
            false => assert_eq!(result, Err(format!("t:1:1: expected {wanted}, found {found}"))),
        };
        check(
            "a string",
            read(document, |d| {
                let _ = d.string();
            }),
        );
        check(
            "a string",
            read(document, |d| {
                let _ = d.cstr();
            }),
        );
        check(
            "a boolean",
            read(document, |d| {
                let _ = d.boolean();
            }),
        );
        check("an object", read(document, |d| mote::members!(d, {})));
        check("an array", read(document, |d| drop(d.list(|_| ()))));
        if found != "a number" {
            check(
                "an integer",
                read(document, |d| {
                    let _ = d.integer::<i64>();
                }),
            );
        }
    }
    assert_eq!(read("?", |d| d.boolean()), Err("t:1:1: not a JSON value".into()));
    assert_eq!(read("]", |d| d.integer::<u8>()), Err("t:1:1: not a JSON value".into()));
}

#[test]
fn strings_for_the_kernel_have_no_nul_inside() {
    assert_eq!(read(r#""a\u0000b""#, |d| String::from(d.string())).as_deref(), Ok("a\0b"));
    let cstr = |document: &str| read(document, |d| d.cstr().to_owned());
    assert_eq!(cstr(r#""a\u0000b""#), Err("t:1:1: contains a NUL byte".into()));
    assert_eq!(cstr(r#""\u0000""#), Err("t:1:1: contains a NUL byte".into()));
    assert_eq!(cstr(r#""""#).as_deref(), Ok(c""));
    assert_eq!(cstr(r#""\n\u00e4\ud83d\ude00""#).as_deref(), Ok(c"\nä😀"));
}

#[test]
fn keywords_of_a_table() {
    let table = [("one", 1), ("two", 2)];
    assert_eq!(read("\"two\"", |d| d.keyword("number", &table)), Ok(Some(2)));
    assert_eq!(read("\"t\\u0077o\"", |d| d.keyword("number", &table)), Ok(Some(2)));
    assert_eq!(read("\"Two\"", |d| d.keyword("number", &table)), Err("t:1:1: unknown number \"Two\"".into()));
    assert_eq!(read("\"\"", |d| d.keyword("number", &table)), Err("t:1:1: unknown number \"\"".into()));
}

/// Two members, `a` and `b`.
fn pair(document: &str) -> Result<(Option<u8>, Option<u8>), String> {
    read(document, |d| {
        let (mut a, mut b) = (None, None);
        mote::members!(d, { "a" => a = Some(d.integer()), "b" => b = Some(d.integer()) });
        (a, b)
    })
}

#[test]
fn members_by_name() {
    assert_eq!(pair("{}"), Ok((None, None)));
    assert_eq!(pair(r#"{"b": 2, "a": 1}"#), Ok((Some(1), Some(2))));
    assert_eq!(pair(r#"{"\u0061": 1}"#), Ok((Some(1), None)));
    assert_eq!(pair(r#"{"A": 1, "": 2, "ab": 3, "a ": 4}"#), Ok((None, None)));
    // null is no value, but the member counts as given.
    assert_eq!(pair(r#"{"a": null, "b": 2}"#), Ok((None, Some(2))));
    assert_eq!(pair(r#"{"a": nul}"#), Err("t:1:7: a: not a JSON value".into()));
    assert_eq!(pair(r#"{"a": 256}"#), Err("t:1:7: a: 256 is out of range".into()));
}

#[test]
fn members_given_twice() {
    for document in [r#"{"a": 1, "a": 1}"#, r#"{"a": 1, "b": 1, "\u0061": 1}"#, r#"{"a": null, "a": 1}"#] {
        assert!(pair(document).is_err_and(|error| error.ends_with(": a: given twice")), "{document}");
    }
    assert_eq!(pair(r#"{"a": 1, "a": null}"#), Err("t:1:10: a: given twice".into()));
    // Unknown members may be repeated; two objects may have the same members.
    assert_eq!(pair(r#"{"x": 1, "x": {}, "a": 1, "x": [{"a": 1}, {"a": 1, "a": 2}]}"#), Ok((Some(1), None)));
}

#[test]
fn members_that_are_data() {
    let entries = |document: &str| read(document, |d| d.map(|d, _| d.integer::<u8>()).len());
    let sorted = read(r#"{"b": 1, "": 2, "a\u00e4": 3, "a": 4}"#, |d| {
        let list = d.map(|d, name| (name.to_owned(), d.integer::<u8>()));
        list.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    });
    assert_eq!(sorted.unwrap(), [(c"".into(), 2), (c"a".into(), 4), (c"aä".into(), 3), (c"b".into(), 1)]);
    assert_eq!(entries(r#"{"b": 1, "a": 2}"#), Ok(2));
    assert_eq!(entries(r#"{"b": 1, "a": 2, "b": 3}"#), Err("t:1:1: \"b\" is given twice".into()));
    assert_eq!(entries(r#"{"a": 1, "\u0061": 2}"#), Err("t:1:1: \"a\" is given twice".into()));
    assert_eq!(entries(r#"{"a\u0000": 1}"#), Err("t:1:2: contains a NUL byte".into()));
    assert_eq!(entries(r#"{"a": null}"#), Err("t:1:7: a: expected an integer, found null".into()));
}

#[test]
fn skipped_names_may_be_anything() {
    assert_eq!(pair(r#"{"a\u0000": 1, "\u0000": {"\u0000": []}, "b": 2}"#), Ok((None, Some(2))));
    assert_eq!(skip(r#"{"\u0000": 1}"#), Ok(()));
}

#[test]
fn errors_in_skipped_values_have_the_full_path() {
    assert_eq!(pair(r#"{"x": {"y": [1, ?]}}"#), Err("t:1:17: x.y[1]: not a JSON value".into()));
    assert_eq!(pair(r#"{"x": 01}"#), Err("t:1:7: x: not a JSON number".into()));
    assert_eq!(pair(r#"{"x\u0000y": ?}"#), Err("t:1:14: x\\x00y: not a JSON value".into()));
    let nested = |document: &str| read(document, |d| drop(d.list(|d| mote::members!(d, {}))));
    assert_eq!(nested(r#"[{}, {"x": {"y": ?}}]"#), Err("t:1:18: [1].x.y: not a JSON value".into()));
}

#[test]
fn errors_of_missing_values_are_at_the_opening_bracket() {
    let missing = |document: &str| {
        read(document, |d| {
            mote::members!(d, { "a" => drop(d.list(|d| mote::members!(d, { "b" => d.skip() }))) });
            d.wrong("c is missing")
        })
    };
    for document in ["\n {}", "\n {\"x\": 1\n}", "\n {\"a\": [{\"b\":\n {}}, {}]\n}"] {
        assert_eq!(missing(document), Err("t:2:2: c is missing".into()), "{document}");
    }
    let empty = |document: &str| {
        read(document, |d| {
            mote::members!(d, { "a" => {
                let list = d.list(Decoder::skip);
                d.check(!list.is_empty(), "is empty");
            } });
        })
    };
    assert_eq!(empty("{\"a\": [\n ]}"), Err("t:1:7: a: is empty".into()));
}

#[test]
fn elements_of_an_array() {
    let list = |document: &str| read(document, |d| d.list(|d| d.integer::<u8>()));
    assert_eq!(list("[]").unwrap(), []);
    assert_eq!(list("[1, 2,3 ]").unwrap(), [1, 2, 3]);
    assert_eq!(list("[1, null]"), Err("t:1:5: [1]: expected an integer, found null".into()));
    assert_eq!(list("[1, 2"), Err("t:1:6: unexpected end of the document".into()));
    assert_eq!(list("[1, 2,]"), Err("t:1:7: [2]: not a JSON value".into()));
}

#[test]
fn error_is_one_line() {
    // Names and values are from the author of the file.
    assert_eq!(error(r#"{"a\nb\u001b": x}"#), "t:1:16: a\\nb\\x1b: not a JSON value");
    // Even if the path to it is long.
    for (name, cut) in
        [("n", "n"), ("\u{e4}", "\u{e4}"), ("\u{20ac}", "\u{20ac}"), ("\u{1f600}", "\u{1f600}")]
    {
        for length in [400, 1000] {
            let long = format!(r#"{{"a": {{"{}": [x]}}}}"#, name.repeat(length));
            let error = error(&long);
            assert!(error.ends_with(&format!("{cut}...: not a JSON value")), "{error}");
            assert!(error.contains(": a.") && error.len() < 440, "{error}");
        }
    }
    let deep = r#"{"name":"#.repeat(100) + "x";
    assert!(error(&deep).ends_with("...: not a JSON value"), "{}", error(&deep));
    let word = read(r#""a\r\nb""#, |d| d.keyword::<()>("word", &[]));
    assert_eq!(word, Err("t:1:1: unknown word \"a\\r\\nb\"".into()));
}
