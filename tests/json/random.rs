//! Random documents with known values, written in unusual forms: the decoder must return the values.

use mote::internal::json::Decoder;

use crate::reference::{Tree, compare, walk};
use crate::{read, reference, skip};

/// A pseudorandom number generator (xorshift64), with the same sequence in every run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn tree(&mut self, depth: usize) -> Tree {
        let count = self.below(5);
        match self.below(if depth == 0 { 5 } else { 9 }) {
            0 => Tree::Null,
            1 => Tree::Boolean(self.below(2) == 0),
            2 => Tree::Number(self.number()),
            3 | 4 => Tree::Text(self.text(true)),
            5 | 6 => Tree::Array((0..count).map(|_| self.tree(depth - 1)).collect()),
            _ => Tree::Object((0..count).map(|_| (self.text(false), self.tree(depth - 1))).collect()),
        }
    }

    /// A number of any length in bits and either sign, sometimes with a fraction or an exponent.
    fn number(&mut self) -> String {
        let size = self.next() >> self.below(64);
        match self.below(6) {
            0 => format!("{}", -((size >> 1) as i64)),
            1 => format!("-{}.{}", size, self.below(1000)),
            2 => format!("{}e{}", size, self.below(1000)),
            3 => format!("{}.0E-{}", size, self.below(1000)),
            _ => format!("{size}"),
        }
    }

    fn text(&mut self, nul: bool) -> String {
        let length = match self.below(10) {
            0 => 0,
            1 => self.below(2000),
            _ => self.below(12),
        };
        let mut character = || loop {
            let limit = [0x20, 0x80, 0x80, 0x80, 0x800, 0xffff, 0x110000][self.below(7)];
            match char::from_u32(self.below(limit) as u32) {
                Some('\0') if !nul => {}
                Some(character) => return character,
                None => {}
            }
        };
        (0..length).map(|_| character()).collect()
    }

    fn space(&mut self, out: &mut String) {
        for _ in 0..self.below(3) {
            out.push([' ', '\n', '\t', '\r'][self.below(4)]);
        }
    }

    fn write(&mut self, tree: &Tree, out: &mut String) {
        self.space(out);
        match tree {
            Tree::Null => out.push_str("null"),
            Tree::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Tree::Number(text) => out.push_str(text),
            Tree::Text(text) => self.write_text(text, out),
            Tree::Array(list) => {
                out.push('[');
                for (index, tree) in list.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.write(tree, out);
                }
                self.space(out);
                out.push(']');
            }
            Tree::Object(list) => {
                out.push('{');
                for (index, (name, tree)) in list.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.space(out);
                    self.write_text(name, out);
                    self.space(out);
                    out.push(':');
                    self.write(tree, out);
                }
                self.space(out);
                out.push('}');
            }
        }
        self.space(out);
    }

    /// Writes each character as itself if allowed, by its short escape, or by its code.
    fn write_text(&mut self, text: &str, out: &mut String) {
        let short = [
            ('"', '"'),
            ('\\', '\\'),
            ('/', '/'),
            ('\x08', 'b'),
            ('\x0c', 'f'),
            ('\n', 'n'),
            ('\r', 'r'),
            ('\t', 't'),
        ];
        out.push('"');
        for character in text.chars() {
            let escape = short.iter().find(|(plain, _)| *plain == character);
            let must = character < ' ' || matches!(character, '"' | '\\');
            match (self.below(4), escape) {
                (0 | 1, _) if !must => out.push(character),
                (0..3, Some((_, letter))) => out.extend(['\\', *letter]),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let digits = format!("\\u{unit:04x}");
                        out.push_str(&if self.below(2) == 0 {
                            digits
                        } else {
                            digits.to_uppercase().replace('U', "u")
                        });
                    }
                }
            }
        }
        out.push('"');
    }
}

/// Decodes a tree, and skips one value in eight.
fn sometimes(d: &mut Decoder<'_>, tree: &Tree, random: &mut Random) {
    match tree {
        _ if random.below(8) == 0 => d.skip(),
        Tree::Array(list) => {
            let mut elements = d.array();
            for tree in list {
                assert!(d.element(&mut elements));
                sometimes(d, tree, random);
                d.leave();
            }
            assert!(!d.element(&mut elements));
        }
        Tree::Object(list) => {
            let mut members = d.object();
            for (name, tree) in list {
                let found = d.entry(&mut members).unwrap();
                assert_eq!(found.to_bytes(), name.as_bytes());
                sometimes(d, tree, random);
                d.leave();
            }
            assert!(d.entry(&mut members).is_none());
        }
        plain => walk(d, plain),
    }
}

#[test]
fn random_documents_are_decoded() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut values, mut bytes) = (0, 0);
    for round in 0..3000 {
        let tree = random.tree(6);
        let mut document = String::new();
        random.write(&tree, &mut document);
        assert_eq!(reference::read(document.as_bytes()).as_ref(), Some(&tree), "round {round}: {document}");
        assert_eq!(skip(&document), Ok(()), "round {round}");
        assert_eq!(read(&document, |d| walk(d, &tree)), Ok(()), "round {round}");
        assert_eq!(read(&document, |d| sometimes(d, &tree, &mut random)), Ok(()), "round {round}");
        values += count(&tree);
        bytes += document.len();
    }
    assert!(values > 10_000 && bytes > 1_000_000, "only {values} values in {bytes} bytes");
}

fn count(tree: &Tree) -> usize {
    match tree {
        Tree::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Tree::Object(list) => 1 + list.iter().map(|(_, tree)| count(tree)).sum::<usize>(),
        _ => 1,
    }
}

#[test]
fn random_tokens() {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\"",
        "1",
        "-0",
        "1e1",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "01",
        "tru",
        "\"",
        "\\",
    ];
    let mut random = Random(7);
    for _ in 0..50_000 {
        let document: String = (0..=random.below(9)).map(|_| tokens[random.below(tokens.len())]).collect();
        compare(document.as_bytes());
    }
}
