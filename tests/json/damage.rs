//! Valid documents with one change: none may be accepted as another document, and none may cause a panic.

use std::fs;
use std::path::Path;

use mote::internal::config::Config;

use crate::random::Random;
use crate::reference::compare;

/// A configuration that an engine wrote.
fn real(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan/real").join(name);
    fs::read(path).unwrap()
}

#[test]
fn cut_off_at_every_byte() {
    for name in ["docker-20.10-default.json", "crun-1.8-spec.json"] {
        let document = real(name);
        let end = document.trim_ascii_end().len();
        for length in 0..=document.len() {
            let mut text = document[..length].to_vec();
            let complete = length >= end;
            match Config::decode("c", &mut text) {
                Ok(_) => assert!(complete, "{name} cut off at {length} is accepted"),
                Err(error) => {
                    assert!(!complete, "{name} cut off at {length}: {error}");
                    position_within(&error.to_string(), &document[..length]);
                }
            }
        }
    }
}

/// Checks that the position in an error is within the document, or at its end.
fn position_within(error: &str, document: &[u8]) {
    let mut parts = error.split(':').skip(1).map(|part| part.parse::<usize>().unwrap());
    let (line, column) = (parts.next().unwrap(), parts.next().unwrap());
    let lines: Vec<&[u8]> = document.split(|byte| *byte == b'\n').collect();
    assert!((1..=lines.len()).contains(&line), "{error}");
    assert!((1..=lines[line - 1].len() + 1).contains(&column), "{error}");
}

/// A document with every kind of token, with names and escapes.
const SMALL: &str = r#"{"a\n": [1, -20.5e+3, true, false, null, {}],
 "ü": {"\u00e9\ud83d\ude00": "x\\y\"z", "": [[], ""]} }
"#;

const NASTY: &[u8] =
    b"\0\x01\n\r\t\x0b \"\\/'#{}[]:,+-.0123456789eEntrfu\x7f\x80\xa0\xbf\xc0\xc3\xe2\xed\xf0\xf5\xff";

#[test]
fn every_byte_replaced() {
    compare(SMALL.as_bytes());
    for at in 0..SMALL.len() {
        for byte in NASTY {
            let mut document = SMALL.as_bytes().to_vec();
            document[at] = *byte;
            compare(&document);
        }
    }
}

#[test]
fn every_byte_removed_duplicated_or_shifted() {
    for at in 0..SMALL.len() {
        let (before, after) = SMALL.as_bytes().split_at(at);
        compare(&[before, &after[1..]].concat());
        compare(&[before, &after[..1], after].concat());
        compare(before);
        for byte in NASTY {
            compare(&[before, &[*byte], after].concat());
        }
    }
}

#[test]
fn several_bytes_replaced_at_random() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let mut document = SMALL.as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(document.len());
            document[at] = NASTY[random.below(NASTY.len())];
        }
        compare(&document);
    }
}

#[test]
fn real_documents_with_a_byte_replaced() {
    let mut random = Random(2);
    for name in ["containerd-1.6-default.json", "runc-1.1-spec.json"] {
        let document = real(name);
        compare(&document);
        for _ in 0..500 {
            let mut document = document.clone();
            let at = random.below(document.len());
            document[at] = NASTY[random.below(NASTY.len())];
            compare(&document);
            // Only a panic would be a failure here.
            let _ = Config::decode("c", &mut document).map(drop);
        }
    }
}
