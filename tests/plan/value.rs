//! JSON documents as trees, for tests that change them. Numbers and strings stay as they are written.

use std::fmt;

/// A value; names and strings are kept with their escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, a boolean, a number, or a string in quotes.
    Plain(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// One step of a path to a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Member(String),
    Element(usize),
}

impl Value {
    /// Reads a valid document.
    pub fn parse(text: &str) -> Value {
        let mut rest = text.trim();
        let value = value(&mut rest);
        assert!(rest.trim().is_empty(), "data after the document: {rest}");
        value
    }

    /// The value at a path.
    pub fn get_mut(&mut self, path: &[Step]) -> Option<&mut Value> {
        path.iter().try_fold(self, |value, step| match (value, step) {
            (Value::Object(members), Step::Member(name)) => {
                members.iter_mut().find(|(n, _)| n == name).map(|(_, value)| value)
            }
            (Value::Array(elements), Step::Element(index)) => elements.get_mut(*index),
            _ => None,
        })
    }

    /// Removes the value at a path; `false` if there is none.
    pub fn remove(&mut self, path: &[Step]) -> bool {
        let Some((last, above)) = path.split_last() else { return false };
        match (self.get_mut(above), last) {
            (Some(Value::Object(members)), Step::Member(name)) => {
                let before = members.len();
                members.retain(|(n, _)| n != name);
                members.len() < before
            }
            (Some(Value::Array(elements)), Step::Element(index)) if *index < elements.len() => {
                elements.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// The paths of all values below this one, outer values first.
    pub fn paths(&self) -> Vec<Vec<Step>> {
        let mut list = Vec::new();
        self.walk(&mut Vec::new(), &mut list);
        list
    }

    fn walk(&self, path: &mut Vec<Step>, list: &mut Vec<Vec<Step>>) {
        let mut enter = |step, value: &Value| {
            path.push(step);
            list.push(path.clone());
            value.walk(path, list);
            path.pop();
        };
        match self {
            Value::Plain(_) => {}
            Value::Array(elements) => {
                elements.iter().enumerate().for_each(|(index, value)| enter(Step::Element(index), value));
            }
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| enter(Step::Member(name.clone()), value));
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Plain(text) => f.write_str(text),
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "[" } else { ", " })?;
                }
                f.write_str(if elements.is_empty() { "[]" } else { "]" })
            }
            Value::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}\"{name}\": {value}", if index == 0 { "{" } else { ", " })?;
                }
                f.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

/// A path as in error messages: `process.rlimits[2].type`.
pub fn show(path: &[Step]) -> String {
    path.iter().enumerate().fold(String::new(), |text, (place, step)| match step {
        Step::Member(name) if place == 0 => name.clone(),
        Step::Member(name) => format!("{text}.{name}"),
        Step::Element(index) => format!("{text}[{index}]"),
    })
}

/// Parses such a path.
pub fn path(text: &str) -> Vec<Step> {
    let step = |word: &str| match word.strip_suffix(']') {
        Some(index) => Step::Element(index.parse().unwrap()),
        None => Step::Member(word.to_owned()),
    };
    text.split(['.', '[']).map(step).collect()
}

fn value(rest: &mut &str) -> Value {
    match take(rest) {
        '{' => Value::Object(list(rest, '}', |rest| {
            assert_eq!(take(rest), '"');
            let name = string(rest);
            assert_eq!(take(rest), ':');
            (name, value(rest))
        })),
        '[' => Value::Array(list(rest, ']', value)),
        '"' => Value::Plain(format!("\"{}\"", string(rest))),
        first => {
            let end = rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            *rest = after;
            Value::Plain(format!("{first}{text}"))
        }
    }
}

fn list<T>(rest: &mut &str, end: char, one: fn(&mut &str) -> T) -> Vec<T> {
    let mut list = Vec::new();
    if let Some(after) = rest.trim_start().strip_prefix(end) {
        *rest = after;
        return list;
    }
    loop {
        list.push(one(rest));
        match take(rest) {
            ',' => {}
            other => {
                assert_eq!(other, end);
                return list;
            }
        }
    }
}

fn take(rest: &mut &str) -> char {
    let mut characters = rest.trim_start().chars();
    let first = characters.next().expect("the document ends too early");
    *rest = characters.as_str();
    first
}

/// The text up to the closing quote.
fn string(rest: &mut &str) -> String {
    let mut escaped = false;
    let end = rest.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (text, after) = rest.split_at(end.expect("a string does not end"));
    *rest = &after[1..];
    text.to_owned()
}
