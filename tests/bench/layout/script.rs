//! The generated part of the linker script: a pattern for each function that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::map::Program;

/// The parts of the program, in the order of how long they stay resident. A function belongs in the first part in which
/// it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Child,
    Host,
    Created,
    Plan,
    Small,
}

impl Part {
    const ALL: [Part; 5] = [Part::Child, Part::Host, Part::Created, Part::Plan, Part::Small];

    /// The part with this output section.
    fn of(section: &str) -> Option<Self> {
        Part::ALL.into_iter().find(|part| part.section() == section)
    }

    /// The output section, which the script names.
    fn section(self) -> &'static str {
        [".text.child", ".text.host", ".text.created", ".text.plan", ".text.small"][self as usize]
    }
}

/// Symbols by their part.
#[derive(Default)]
pub struct Layout(BTreeMap<String, Part>);

impl Layout {
    pub fn add(&mut self, part: Part, symbol: String) {
        let place = self.0.entry(symbol).or_insert(part);
        *place = part.min(*place);
    }

    pub fn extend(&mut self, other: Layout) {
        other.0.into_iter().for_each(|(symbol, part)| self.add(part, symbol));
    }

    /// The functions that ran and are in a later part than they should be.
    pub fn misplaced(&self, program: &Program) -> Vec<String> {
        let sections: BTreeMap<&str, &str> =
            program.functions.iter().map(|function| (&*function.symbol, &*function.section)).collect();
        let mut list = Vec::new();
        for (symbol, part) in &self.0 {
            let section = sections.get(symbol.as_str()).copied().unwrap_or_default();
            let found = Part::of(section);
            // The fixed part of the script places objects of libc and special sections.
            let is_fixed = is_object(symbol) || section == ".text.wait";
            if !is_fixed && !found.is_some_and(|found| found <= *part) {
                list.push(format!("{symbol} ran and is in {section}, not in {}", part.section()));
            }
        }
        list
    }
}

/// Whether it is the name of an object of libc, `libc.a(memcpy.lo)`, and not of a function.
fn is_object(symbol: &str) -> bool {
    symbol.ends_with(')')
}

/// A pattern for a mangled name, without what changes with the compiler: the hashes of crates, and back references,
/// which are counted in bytes (RFC 2603; `17h...E` in legacy names).
pub fn pattern(symbol: &str) -> String {
    if let Some(legacy) = symbol.strip_prefix("_ZN") {
        let hash = legacy.rfind("17h").unwrap_or(legacy.len());
        return format!("_ZN{}*", &legacy[..hash]);
    }
    if !symbol.starts_with("_R") {
        return symbol.into();
    }
    let bytes = symbol.as_bytes();
    let (mut out, mut at) = (String::new(), 0);
    let until = |from: usize, end: u8| {
        bytes[from..].iter().position(|byte| *byte == end).map(|length| from + length + 1)
    };
    while let Some(byte) = bytes.get(at).filter(|_| out.len() < 1000) {
        match byte {
            b's' | b'B' => {
                at = until(at, b'_').unwrap_or(bytes.len());
                out.push('*');
            }
            b'.' => {
                out.push('*');
                break;
            }
            // A constant: its type, and its value in hexadecimal.
            b'a'..=b'z' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let end = until(at, b'_').unwrap_or(bytes.len());
                out.push_str(&symbol[at..end]);
                at = end;
            }
            b'0'..=b'9' => {
                let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let length: usize = symbol[at..at + digits].parse().unwrap_or(0);
                let end = (at + digits + length + usize::from(bytes.get(at + digits) == Some(&b'_')))
                    .min(bytes.len());
                out.push_str(&symbol[at..end]);
                at = end;
            }
            other => {
                out.push(char::from(*other));
                at += 1;
            }
        }
    }
    while out.contains("**") {
        out = out.replace("**", "*");
    }
    out
}

const BEGIN: &str = "/* generated: ";
const END: &str = "/* end */";

/// Writes the patterns between the marks of each part. Existing patterns are kept as long as they match one of the
/// `sections`: not every function runs each time, for example the padding of a time stamp.
pub fn replace(path: &str, layout: &Layout, sections: &BTreeSet<String>) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let all: BTreeSet<String> = layout.0.keys().map(|symbol| pattern(symbol)).collect();
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(name) = line.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" */")) else {
            continue;
        };
        let part = Part::of(name).unwrap_or_else(|| panic!("{path}: no part is called {name}"));
        let symbols = layout.0.iter().filter(|(symbol, place)| **place == part && !is_object(symbol));
        let mut patterns: BTreeSet<String> = symbols.map(|(symbol, _)| pattern(symbol)).collect();
        let old = lines.by_ref().map(str::trim).take_while(|line| *line != END);
        let old = old.filter_map(|line| line.strip_prefix("*(.text*.")?.strip_suffix(")"));
        let still_fits = |pattern: &&str| matches_any(&format!(".text*.{pattern}"), sections);
        patterns.extend(old.filter(|pattern| !all.contains(*pattern)).filter(still_fits).map(String::from));
        for pattern in patterns {
            out.push_str(&format!("    *(.text*.{pattern})\n"));
        }
        out.push_str(&format!("    {END}\n"));
    }
    fs::write(path, out).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// The patterns of the script, one per line, that match no section.
pub fn unmatched(path: &str, sections: &BTreeSet<String>) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let patterns = text.lines().filter_map(|line| line.trim().strip_prefix("*(")?.strip_suffix(")"));
    let patterns =
        patterns.filter(|pattern| pattern.starts_with(".text*.") || pattern.starts_with(".rodata*"));
    let unmatched_patterns = patterns.filter(|pattern| !matches_any(pattern, sections));
    unmatched_patterns.map(|pattern| format!("{pattern} matches nothing")).collect()
}

fn matches_any(pattern: &str, names: &BTreeSet<String>) -> bool {
    names.iter().any(|name| matches_pattern(pattern, name))
}

/// Whether a pattern with `*` matches the name.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}
