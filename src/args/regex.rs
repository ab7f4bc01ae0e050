//! Extended regular expressions for container IDs (regex(7), without named character classes and back references):
//! `kill --regex` and `delete --regex`. A library for this would add a tenth to the binary.

use crate::error::{Error, Result};

/// A regular expression whose syntax has been checked.
pub struct Pattern<'a>(&'a [u8]);

/// The continuation of a match: whether the rest of the text matches the rest of the expression.
type Next<'n> = &'n dyn Fn(&[u8]) -> bool;

impl<'a> Pattern<'a> {
    /// Checks the syntax of an expression. Errors: [`Kind::Invalid`](crate::error::Kind::Invalid).
    pub fn new(text: &'a str) -> Result<Self> {
        match check(text.as_bytes(), 0) {
            Some(b"") => Ok(Pattern(text.as_bytes())),
            _ => Err(Error::invalid(format_args!("invalid regular expression \"{text}\""))),
        }
    }

    /// Whether any part of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let whole = text.as_bytes();
        let matcher = Matcher { length: whole.len() };
        (0..=whole.len())
            .any(|start| matcher.either(self.0, whole.get(start..).unwrap_or_default(), &|_| true))
    }
}

/// Checks alternatives up to the end or a closing parenthesis; returns what follows, or `None` if they are invalid.
fn check(mut rest: &[u8], depth: usize) -> Option<&[u8]> {
    let mut repeatable = false;
    while let [first, ..] = rest {
        let atom = match first {
            b')' if depth > 0 => return Some(rest),
            b'|' => {
                repeatable = false;
                rest = rest.get(1..)?;
                continue;
            }
            b'(' => match check(rest.get(1..)?, depth + 1)? {
                after @ [b')', ..] if depth < 20 => rest.len() - after.len() + 1,
                _ => return None,
            },
            b')' => return None,
            b'*' | b'+' | b'?' | b'{' if !repeatable => return None,
            b'*' | b'+' | b'?' | b'{' => {
                let (_, _, length) = repetition(rest)?;
                (repeatable, rest) = (false, rest.get(length..)?);
                continue;
            }
            _ => atom(rest)?,
        };
        (repeatable, rest) = (true, rest.get(atom..)?);
    }
    (depth == 0).then_some(rest)
}

/// The length of the atom at the beginning: a character, a bracket expression or a group.
fn atom(re: &[u8]) -> Option<usize> {
    match re.first()? {
        b'\\' => re.get(1).map(|_| 2),
        b'[' => {
            let begin = if re.get(1) == Some(&b'^') { 2 } else { 1 };
            // A closing bracket at the beginning is a member of the set.
            let end = re.iter().skip(begin + 1).position(|byte| *byte == b']')?;
            Some(begin + 1 + end + 1)
        }
        b'(' => {
            let mut depth = 0usize;
            let mut at = 0;
            loop {
                match re.get(at)? {
                    b'(' => (depth, at) = (depth + 1, at + 1),
                    b')' if depth == 1 => return Some(at + 1),
                    b')' => (depth, at) = (depth - 1, at + 1),
                    _ => at += atom(re.get(at..)?)?,
                }
            }
        }
        _ => Some(1),
    }
}

/// The repetition at the beginning: minimum, maximum, and the length of its notation.
fn repetition(re: &[u8]) -> Option<(usize, usize, usize)> {
    match re.first()? {
        b'*' => Some((0, usize::MAX, 1)),
        b'+' => Some((1, usize::MAX, 1)),
        b'?' => Some((0, 1, 1)),
        b'{' => {
            let end = re.iter().position(|byte| *byte == b'}')?;
            let inside = core::str::from_utf8(re.get(1..end)?).ok()?;
            let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
            let least = least.parse().ok()?;
            let most = if most.is_empty() { usize::MAX } else { most.parse().ok()? };
            (least <= most && least <= 255).then_some((least, most, end + 1))
        }
        _ => None,
    }
}

struct Matcher {
    /// The length of the whole text: `^` matches where the remaining text is that long.
    length: usize,
}

impl Matcher {
    /// Matches one of the alternatives.
    fn either(&self, re: &[u8], text: &[u8], next: Next<'_>) -> bool {
        let mut at = 0;
        loop {
            match re.get(at) {
                None => return self.sequence(re, text, next),
                Some(b'|') => {
                    let (first, others) =
                        (re.get(..at).unwrap_or_default(), re.get(at + 1..).unwrap_or_default());
                    return self.sequence(first, text, next) || self.either(others, text, next);
                }
                Some(_) => at += re.get(at..).and_then(atom).unwrap_or(1),
            }
        }
    }

    /// Matches the atoms of one alternative in sequence.
    fn sequence(&self, re: &[u8], text: &[u8], next: Next<'_>) -> bool {
        let Some(length) = atom(re) else { return next(text) };
        let (one, after) = re.split_at(length);
        let (least, most, length) = repetition(after).unwrap_or((1, 1, 0));
        let after = after.get(length..).unwrap_or_default();
        self.repeat(one, (least, most), text, &|rest| self.sequence(after, rest, next))
    }

    fn repeat(&self, one: &[u8], (least, most): (usize, usize), text: &[u8], next: Next<'_>) -> bool {
        let again = |rest: &[u8]| {
            // Repeating an empty match would never end.
            (rest.len() < text.len() || least > 0)
                && self.repeat(one, (least.saturating_sub(1), most - 1), rest, next)
        };
        (most > 0 && self.one(one, text, &again)) || (least == 0 && next(text))
    }

    fn one(&self, one: &[u8], text: &[u8], next: Next<'_>) -> bool {
        let rest = text.get(1..).unwrap_or_default();
        match (one, text.first()) {
            ([b'(', inside @ .., b')'], _) => self.either(inside, text, next),
            ([b'^'], _) => text.len() == self.length && next(text),
            ([b'$'], _) => text.is_empty() && next(text),
            (_, None) => false,
            ([b'.'], Some(_)) => next(rest),
            ([b'[', set @ .., b']'], Some(byte)) => in_set(set, *byte) && next(rest),
            ([b'\\', literal] | [literal], Some(byte)) => literal == byte && next(rest),
            _ => false,
        }
    }
}

/// Whether a byte is in a set such as `a-z_` or `^0-9`.
fn in_set(set: &[u8], byte: u8) -> bool {
    let (mut rest, inverse) = match set {
        [b'^', rest @ ..] => (rest, true),
        _ => (set, false),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return found != inverse,
            [low, b'-', high, after @ ..] => {
                found |= (*low..=*high).contains(&byte);
                after
            }
            [one, after @ ..] => {
                found |= *one == byte;
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn matches() {
        let yes = [
            ("a", "xay"),
            ("^a", "ab"),
            ("b$", "ab"),
            ("^a.c$", "abc"),
            ("a*", ""),
            ("^(ab)+$", "abab"),
            ("a|b", "b"),
            ("^(web|db)-[0-9]{2}$", "db-07"),
            ("[^0-9]$", "1a"),
            ("^[]a]$", "]"),
            (r"^a\.b$", "a.b"),
            ("x{2,}", "xxx"),
            ("", "x"),
            ("^(a?){3}$", "aa"),
            ("^(a*)*$", "aaa"),
            ("^(|a)b$", "b"),
            ("[a-]", "-"),
        ];
        for (pattern, text) in yes {
            assert!(Pattern::new(pattern).unwrap().matches(text), "{pattern} {text}");
        }
        let no = [
            ("^a", "ba"),
            ("a$", "ab"),
            ("^a.c$", "ac"),
            ("^(ab)+$", "aba"),
            (r"a\.b", "axb"),
            ("x{4}", "xxx"),
            ("[^a]", "a"),
        ];
        for (pattern, text) in no {
            assert!(!Pattern::new(pattern).unwrap().matches(text), "{pattern} {text}");
        }
        for bad in ["(", ")", "a)", "[a", "*a", "a**", "a{", "a{2,1}", "a{x}", "\\", "(a|*b)", "|*"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
