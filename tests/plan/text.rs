//! Entries as text, the difference of two lists of entries, and files of expected results, which `BLESS=1` overwrites.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The longest line that is not a single value.
const WIDTH: usize = 120;

/// A path and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub path: String,
    pub items: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    One,
    /// Names that are present or not, always in the same order.
    Flags,
    /// Elements whose order may matter.
    List,
}

impl Entry {
    pub fn one(path: &str, text: String) -> Entry {
        Entry { path: path.to_owned(), items: vec![text], kind: Kind::One }
    }

    pub fn flags(path: &str, items: Vec<String>) -> Entry {
        Entry { path: path.to_owned(), items, kind: Kind::Flags }
    }

    pub fn list(path: &str, items: Vec<String>) -> Entry {
        Entry { path: path.to_owned(), items, kind: Kind::List }
    }

    /// Without the path.
    pub fn value(&self) -> String {
        self.items.join(self.separator())
    }

    /// The same entry, with a function applied to each text.
    pub fn map(&self, change: fn(&str) -> String) -> Entry {
        let items = self.items.iter().map(|item| change(item)).collect();
        Entry { path: self.path.clone(), items, kind: self.kind }
    }

    fn separator(&self) -> &'static str {
        if self.kind == Kind::Flags { "|" } else { ", " }
    }

    fn show(&self, before: &str) -> String {
        lines(&format!("{before}{}:", self.path), &self.items, self.separator())
    }

    /// The text for an entry that is missing; its value only if it is short.
    fn missing(&self) -> String {
        let text = self.show("- ");
        if text.lines().count() == 1 { text } else { format!("- {}\n", self.path) }
    }

    /// The elements that are not in `base`, which has the same path.
    fn difference(&self, base: &Entry) -> String {
        let plain = || match (&base.items[..], &self.items[..]) {
            ([old], [new]) if self.path.len() + old.len() + new.len() < WIDTH => {
                format!("{}: {old} -> {new}\n", self.path)
            }
            _ => base.missing() + &self.show("+ "),
        };
        if self.kind == Kind::One || base.kind != self.kind {
            return plain();
        }
        let (missing, come) = changes(&base.items, &self.items);
        if missing.len() == base.items.len() || come.len() == self.items.len() {
            return plain();
        }
        // Indices: in the old list for missing elements, in the new one for additional elements.
        let mark = |sign: char, items: &[String], places: &[usize]| -> Vec<String> {
            let one = |at: &usize| match self.kind {
                Kind::Flags => format!("{sign}{}", items[*at]),
                _ => format!("{sign}[{at}] {}", items[*at]),
            };
            places.iter().map(one).collect()
        };
        let changed = [mark('-', &base.items, &missing), mark('+', &self.items, &come)].concat();
        lines(&format!("{}:", self.path), &changed, if self.kind == Kind::Flags { " " } else { ", " })
    }
}

/// A heading and items: on one line if they fit; each on its own line if one is long or contains the separator; wrapped
/// otherwise.
fn lines(head: &str, items: &[String], separator: &str) -> String {
    let joined = items.join(separator);
    let unclear = items.iter().any(|item| item.contains(separator));
    if items.len() == 1 || !unclear && head.len() + 1 + joined.len() <= WIDTH {
        return format!("{head} {joined}\n");
    }
    if unclear || items.iter().any(|item| item.len() > 72) {
        return items.iter().fold(format!("{head}\n"), |text, item| text + "    " + item + "\n");
    }
    let (mut out, mut line) = (format!("{head}\n"), String::from("    "));
    for (index, item) in items.iter().enumerate() {
        if line.len() > 4 && line.len() + item.len() > WIDTH {
            out += line.trim_end();
            out += "\n";
            line.truncate(4);
        }
        line += item;
        line += if index + 1 < items.len() { separator } else { "" };
    }
    out + &line + "\n"
}

/// All entries.
pub fn show(entries: &[Entry]) -> String {
    entries.iter().map(|entry| entry.show("")).collect()
}

/// The difference of two lists, path by path.
pub fn difference(base: &[Entry], new: &[Entry]) -> Vec<String> {
    let find = |list: &[Entry], path: &str| list.iter().position(|entry| entry.path == path);
    let (mut out, mut done) = (Vec::new(), 0);
    let is_gone = |old: &Entry| find(new, &old.path).is_none();
    // Entries below a missing one are not listed.
    let is_below = |old: &Entry| {
        let above =
            |other: &&Entry| old.path.strip_prefix(&other.path).is_some_and(|rest| rest.starts_with('.'));
        base.iter().filter(above).any(is_gone)
    };
    let missing = |entries: &[Entry], out: &mut Vec<String>| {
        let missing = entries.iter().filter(|old| is_gone(old) && !is_below(old));
        out.extend(missing.map(Entry::missing));
    };
    for entry in new {
        let Some(at) = find(base, &entry.path) else {
            out.push(entry.show("+ "));
            continue;
        };
        missing(&base[done.min(at)..at], &mut out);
        done = done.max(at + 1);
        if base[at] != *entry {
            out.push(entry.difference(&base[at]));
        }
    }
    missing(&base[done..], &mut out);
    out
}

/// The indices of elements only in `old`, and of those only in `new`, for the longest common subsequence.
fn changes(old: &[String], new: &[String]) -> (Vec<usize>, Vec<usize>) {
    let mut longest = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] = match old[i] == new[j] {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut missing, mut come) = (0, 0, Vec::new(), Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j >= new.len() || i < old.len() && longest[i + 1][j] >= longest[i][j + 1] {
            missing.push(i);
            i += 1;
        } else {
            come.push(j);
            j += 1;
        }
    }
    (missing, come)
}

/// A file or directory of `tests/plan`.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan").join(name)
}

/// Compares a text with a file of `tests/plan`; the failure has the lines that differ.
pub fn check(name: &str, actual: &str) -> Result<(), String> {
    let file = path_of(name);
    if env::var_os("BLESS").is_some() {
        fs::write(&file, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&file).map_err(|why| format!("{name}: {why}"))?;
    if expected == actual {
        return Ok(());
    }
    let split = |text: &str| -> Vec<String> { text.lines().map(String::from).collect() };
    let (old, new) = (split(&expected), split(actual));
    let (missing, come) = changes(&old, &new);
    let mut lines: Vec<(usize, char, &str)> = Vec::new();
    lines.extend(missing.iter().map(|at| (at + 1, '-', old[*at].trim())));
    lines.extend(come.iter().map(|at| (at + 1, '+', new[*at].trim())));
    lines.sort_by_key(|(number, sign, _)| (*number, *sign == '+'));
    let mut text = format!("{name}: expected (-), found (+)\n");
    for (number, sign, line) in lines.iter().take(SHOWN) {
        text += &format!("  {number}: {sign} {line}\n");
    }
    if lines.len() > SHOWN {
        text += &format!("  and {} more lines\n", lines.len() - SHOWN);
    }
    Err(text)
}

/// The number of differing lines that are shown of a file.
const SHOWN: usize = 12;

/// Panics with all failures, if there are any.
pub fn fail_with(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} differ (BLESS=1 overwrites them)\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn differences_of_entries() {
    let flags = |names: &str| Entry::flags("flags", names.split('|').map(String::from).collect());
    let list = |names: &str| Entry::list("list", names.split(' ').map(String::from).collect());
    let one = |path, text: &str| Entry::one(path, text.to_owned());
    let base = [one("a", "1"), flags("A|B"), list("x y z"), one("old", "1"), one("z", "1")];
    let new = [one("a", "2"), one("b", "1"), flags("A|C"), list("y x z w"), one("z", "1")];
    let expected = "a: 1 -> 2\n+ b: 1\nflags: -B +C\nlist: -[0] x, +[1] x, +[3] w\n- old: 1\n";
    assert_eq!(difference(&base, &new).concat(), expected);
    assert!(difference(&base, &base).is_empty());
}
