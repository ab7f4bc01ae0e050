//! Documents that are not JSON, or that two readers could interpret differently, with the exact errors.

use crate::{error, read, skip};

/// (document, error).
const TEXTS: &[(&str, &str)] = &[
    ("", "t:1:1: unexpected end of the document"),
    (" \n\t\r\n ", "t:3:2: unexpected end of the document"),
    // Not JSON at all.
    ("nothing", "t:1:1: not a JSON value"),
    ("True", "t:1:1: not a JSON value"),
    ("tru", "t:1:1: not a JSON value"),
    ("nulL", "t:1:1: not a JSON value"),
    ("NaN", "t:1:1: not a JSON value"),
    ("Infinity", "t:1:1: not a JSON value"),
    ("-Infinity", "t:1:1: not a JSON number"),
    ("'a'", "t:1:1: not a JSON value"),
    ("\u{feff}{}", "t:1:1: not a JSON value"),
    ("\u{a0}{}", "t:1:1: not a JSON value"),
    ("\x0c{}", "t:1:1: not a JSON value"),
    ("\0", "t:1:1: not a JSON value"),
    // Comments.
    ("// x\n{}", "t:1:1: not a JSON value"),
    ("/* x */ {}", "t:1:1: not a JSON value"),
    ("# x\n{}", "t:1:1: not a JSON value"),
    ("{} // x", "t:1:4: data after the end of the document"),
    ("[1, /* x */ 2]", "t:1:5: [1]: not a JSON value"),
    // Data after the document.
    ("{} {}", "t:1:4: data after the end of the document"),
    ("{}\n\n }", "t:3:2: data after the end of the document"),
    ("1 2", "t:1:3: data after the end of the document"),
    ("truetrue", "t:1:5: data after the end of the document"),
    ("nullx", "t:1:5: data after the end of the document"),
    ("[]\0", "t:1:3: data after the end of the document"),
    ("\"a\"\"b\"", "t:1:4: data after the end of the document"),
    // Commas and colons.
    ("[1,]", "t:1:4: [1]: not a JSON value"),
    ("[,]", "t:1:2: [0]: not a JSON value"),
    ("[,1]", "t:1:2: [0]: not a JSON value"),
    ("[1,,2]", "t:1:4: [1]: not a JSON value"),
    ("[1 2]", "t:1:4: expected ',' or ']'"),
    ("[1:2]", "t:1:3: expected ',' or ']'"),
    ("[1}", "t:1:3: expected ',' or ']'"),
    ("{,}", "t:1:2: expected a member's name in quotes"),
    (r#"{"a":1,}"#, "t:1:8: expected a member's name in quotes"),
    (r#"{"a":1,,"b":2}"#, "t:1:8: expected a member's name in quotes"),
    (r#"{"a":1 "b":2}"#, "t:1:8: expected ',' or '}'"),
    (r#"{"a":1]"#, "t:1:7: expected ',' or '}'"),
    (r#"{"a" 1}"#, "t:1:6: expected ':'"),
    (r#"{"a"}"#, "t:1:5: expected ':'"),
    (r#"{"a"::1}"#, "t:1:6: a: not a JSON value"),
    (r#"{"a":}"#, "t:1:6: a: not a JSON value"),
    ("{a:1}", "t:1:2: expected a member's name in quotes"),
    ("{'a':1}", "t:1:2: expected a member's name in quotes"),
    ("{1:1}", "t:1:2: expected a member's name in quotes"),
    ("{null:1}", "t:1:2: expected a member's name in quotes"),
    // Truncated documents.
    ("[", "t:1:2: unexpected end of the document"),
    ("[1", "t:1:3: unexpected end of the document"),
    ("[1,", "t:1:4: [1]: unexpected end of the document"),
    ("{", "t:1:2: unexpected end of the document"),
    (r#"{"a"#, "t:1:4: unterminated string"),
    (r#"{"a""#, "t:1:5: unexpected end of the document"),
    (r#"{"a":"#, "t:1:6: a: unexpected end of the document"),
    (r#"{"a":1"#, "t:1:7: unexpected end of the document"),
    (r#"{"a":1,"#, "t:1:8: unexpected end of the document"),
    ("\"", "t:1:2: unterminated string"),
    (r#""abc"#, "t:1:5: unterminated string"),
    (r#""abc\""#, "t:1:7: unterminated string"),
    // Positions: a line ends with a line feed, columns are bytes.
    ("{\n  \"a\": [1,\r\n  x]}", "t:3:3: a[1]: not a JSON value"),
    ("[\"ä\", x]", "t:1:8: [1]: not a JSON value"),
];

#[test]
fn texts() {
    for (document, expected) in TEXTS {
        assert_eq!(error(document), *expected, "{}", document.escape_debug());
    }
}

#[test]
fn white_space_is_accepted_between_all_tokens() {
    assert_eq!(skip("\r\n\t { \"a\" : [ 1 , { } , [ ] ] , \"b\" : null } \t\r\n"), Ok(()));
}

#[test]
fn numbers() {
    for valid in
        ["0", "-0", "10", "0.0", "-0.0", "1.50", "1e3", "1E+3", "1e-03", "0e0", "9".repeat(1000).as_str()]
    {
        assert_eq!(skip(valid), Ok(()), "{valid}");
    }
    let invalid = [
        "-", "+1", "--1", "01", "-01", "00", "1.", ".5", "-.5", "1.e3", "1e", "1e+", "1e-", "1.5e", "0x10",
        "1_000", "١",
    ];
    for invalid in invalid {
        assert!(skip(invalid).is_err(), "{invalid}");
    }
    assert_eq!(error("01"), "t:1:1: not a JSON number");
    assert_eq!(error("[0, -]"), "t:1:5: [1]: not a JSON number");
    assert_eq!(error("0x10"), "t:1:2: data after the end of the document");
}

#[test]
fn strings() {
    let long = "x".repeat(100_000);
    for valid in [
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000\uABCD\uabcd""#,
        "\"\u{7f}\u{10ffff}\"",
        &format!("\"{long}\""),
    ] {
        assert_eq!(skip(valid), Ok(()), "{valid:.100}");
    }
    let invalid = [
        (r#""\x41""#, "t:1:2: not a JSON escape"),
        (r#""\'""#, "t:1:2: not a JSON escape"),
        (r#""\a""#, "t:1:2: not a JSON escape"),
        (r#""\0""#, "t:1:2: not a JSON escape"),
        (r#""\U0041""#, "t:1:2: not a JSON escape"),
        (r#""ab\u12""#, "t:1:4: not a JSON escape"),
        (r#""\u12G4""#, "t:1:2: not a JSON escape"),
        (r#""\u+123""#, "t:1:2: not a JSON escape"),
        (r#""\u 123""#, "t:1:2: not a JSON escape"),
        (r#""\u{41}""#, "t:1:2: not a JSON escape"),
        ("\"a\nb\"", "t:1:3: a control character in a string"),
        ("\"a\tb\"", "t:1:3: a control character in a string"),
        ("\"a\0b\"", "t:1:3: a control character in a string"),
        ("\"\x1f\"", "t:1:2: a control character in a string"),
        ("\"\\\n\"", "t:1:2: not a JSON escape"),
    ];
    for (document, expected) in invalid {
        assert_eq!(error(document), expected, "{}", document.escape_debug());
    }
}

#[test]
fn surrogates() {
    let string = |document: &str| read(document, |d| String::from(d.string()));
    assert_eq!(string(r#""\ud83d\ude00""#).as_deref(), Ok("😀"));
    assert_eq!(string(r#""\uD800\uDC00\uDBFF\uDFFF""#).as_deref(), Ok("\u{10000}\u{10ffff}"));
    assert_eq!(string(r#""\ud7ff\ue000""#).as_deref(), Ok("\u{d7ff}\u{e000}"));
    // A lone surrogate is no character, and readers interpret it differently.
    let lone = [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\udfff""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\ud800\\udc00""#,
        r#""\udc00\ud800""#,
        r#""\ud800\ud800""#,
        r#""\ud800\ud800\udc00""#,
        r#""\ud800\u0041""#,
        r#""\ud83d\ude0""#,
        r#""\ud83d\u""#,
        r#""\ud83d\""#,
    ];
    for document in lone {
        assert_eq!(error(document), "t:1:2: not a JSON escape", "{document}");
    }
}

#[test]
fn text_that_is_not_utf_8() {
    let invalid: &[&[u8]] = &[
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    for invalid in invalid {
        let quoted = [b"\"", *invalid, b"\""].concat();
        assert_eq!(error(&quoted), "t:1:1: a string that is not UTF-8", "{}", invalid.escape_ascii());
        // In skipped values, too: in a value, in a name, between tokens.
        assert_eq!(error([b"[1, ", &quoted[..], b"]"].concat()), "t:1:5: [1]: a string that is not UTF-8");
        assert_eq!(error([b"{", &quoted[..], b": 1}"].concat()), "t:1:2: a string that is not UTF-8");
        assert_eq!(error([b"[1", *invalid, b"]"].concat()), "t:1:3: expected ',' or ']'");
    }
}
