//! A second JSON reader, as simple as possible, and the comparison of its result with that of `Decoder`. It is used by
//! the tests and by the fuzz target `json`.

use mote::internal::json::{Decoder, MAX_DEPTH};

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Null,
    Boolean(bool),
    /// As it is written in the document.
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Reads a document according to RFC 8259, with the restrictions of `Decoder`: no lone surrogates, and limited depth.
pub fn read(document: &[u8]) -> Option<Tree> {
    let mut rest = str::from_utf8(document).ok()?;
    let tree = value(&mut rest, 0)?;
    white(rest).is_empty().then_some(tree)
}

fn white(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

fn take(rest: &mut &str, token: &str) -> Option<()> {
    *rest = white(rest).strip_prefix(token)?;
    Some(())
}

fn value(rest: &mut &str, depth: usize) -> Option<Tree> {
    *rest = white(rest);
    match rest.chars().next()? {
        '{' | '[' if depth >= MAX_DEPTH => None,
        '{' => object(rest, depth),
        '[' => array(rest, depth),
        '"' => string(rest).map(Tree::Text),
        'n' => take(rest, "null").map(|()| Tree::Null),
        't' => take(rest, "true").map(|()| Tree::Boolean(true)),
        'f' => take(rest, "false").map(|()| Tree::Boolean(false)),
        _ => number(rest).map(Tree::Number),
    }
}

fn array(rest: &mut &str, depth: usize) -> Option<Tree> {
    let mut list = Vec::new();
    take(rest, "[")?;
    if take(rest, "]").is_some() {
        return Some(Tree::Array(list));
    }
    loop {
        list.push(value(rest, depth + 1)?);
        if take(rest, "]").is_some() {
            return Some(Tree::Array(list));
        }
        take(rest, ",")?;
    }
}

fn object(rest: &mut &str, depth: usize) -> Option<Tree> {
    let mut list = Vec::new();
    take(rest, "{")?;
    if take(rest, "}").is_some() {
        return Some(Tree::Object(list));
    }
    loop {
        *rest = white(rest);
        let name = string(rest)?;
        take(rest, ":")?;
        list.push((name, value(rest, depth + 1)?));
        if take(rest, "}").is_some() {
            return Some(Tree::Object(list));
        }
        take(rest, ",")?;
    }
}

fn number(rest: &mut &str) -> Option<String> {
    let (text, mut at) = (*rest, 0);
    let digits = |at: usize| {
        let count = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        (count > 0).then_some(at + count)
    };
    at += usize::from(text[at..].starts_with('-'));
    at = if text[at..].starts_with('0') { at + 1 } else { digits(at)? };
    if text[at..].starts_with('.') {
        at = digits(at + 1)?;
    }
    if text[at..].starts_with(['e', 'E']) {
        at += 1 + usize::from(text[at + 1..].starts_with(['+', '-']));
        at = digits(at)?;
    }
    *rest = &text[at..];
    Some(text[..at].to_owned())
}

fn string(rest: &mut &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut characters = rest.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\0'..='\x1f' => return None,
            '\\' => units.push(match characters.next()? {
                'b' => 8,
                'f' => 12,
                'n' => 10,
                'r' => 13,
                't' => 9,
                same @ ('"' | '\\' | '/') => same as u16,
                'u' => {
                    let digits =
                        characters.as_str().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                    characters = characters.as_str()[4..].chars();
                    u16::from_str_radix(digits, 16).ok()?
                }
                _ => return None,
            }),
            plain => units.extend(plain.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    *rest = characters.as_str();
    String::from_utf16(&units).ok()
}

/// Decodes `tree` with the calls for its types; a difference is a panic.
pub fn walk(d: &mut Decoder<'_>, tree: &Tree) {
    match tree {
        Tree::Null => d.skip(),
        Tree::Boolean(expected) => assert_eq!(d.boolean(), *expected),
        Tree::Number(text) => match (text.parse(), text.parse()) {
            (Ok(expected), _) => assert_eq!(d.integer::<i64>(), expected),
            (_, Ok(expected)) => assert_eq!(d.integer::<u64>(), expected),
            _ => d.skip(),
        },
        Tree::Text(expected) if expected.contains('\0') => assert_eq!(d.string(), expected),
        Tree::Text(expected) => assert_eq!(d.cstr().to_bytes(), expected.as_bytes()),
        Tree::Array(list) => {
            let mut elements = d.array();
            for tree in list {
                assert!(d.element(&mut elements), "an element is missing: {tree:?}");
                walk(d, tree);
                d.leave();
            }
            assert!(!d.element(&mut elements), "more elements than {list:?}");
        }
        // Names that are data contain no NUL; names that are skipped may.
        Tree::Object(list) if list.iter().any(|(name, _)| name.contains('\0')) => d.skip(),
        Tree::Object(list) => {
            let mut members = d.object();
            for (name, tree) in list {
                let found = d.entry(&mut members).map(|found| found.to_bytes().to_vec());
                assert_eq!(found.as_deref(), Some(name.as_bytes()));
                walk(d, tree);
                d.leave();
            }
            assert_eq!(d.entry(&mut members), None);
        }
    }
}

/// Checks that both readers accept the document with the same values, or that neither accepts it.
pub fn compare(document: &[u8]) {
    let (mut skipped, mut walked) = (document.to_vec(), document.to_vec());
    let mut decoder = Decoder::new("t", &mut skipped);
    decoder.skip();
    let result = decoder.finish();
    match (read(document), result) {
        (None, Err(_)) => {}
        (Some(tree), Ok(())) => {
            let mut decoder = Decoder::new("t", &mut walked);
            walk(&mut decoder, &tree);
            decoder.finish().unwrap();
        }
        (tree, result) => panic!("{}: {tree:?}, but {result:?}", document.escape_ascii()),
    }
}
