//! Expected texts: printed narrow, compared, written anew with `BLESS=1`.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Wide enough for a device, or a file and what is written to it, on one line.
const WIDTH: usize = 150;

/// A file or directory of `tests/plan`.
pub fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan").join(name)
}

/// Compares a text with a file of `tests/plan`; the first line that differs is the failure.
pub fn check(name: &str, actual: &str) -> Result<(), String> {
    let file = place(name);
    if env::var_os("BLESS").is_some() {
        fs::write(&file, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&file).map_err(|why| format!("{name}: {why}"))?;
    if expected == actual {
        return Ok(());
    }
    let (mut old, mut new) = (expected.lines(), actual.lines());
    let mut number = 0;
    loop {
        number += 1;
        let (old, new) = (old.next(), new.next());
        if old != new || old.is_none() {
            let show = |line: Option<&str>| line.unwrap_or("(nothing)").trim_start().to_owned();
            return Err(format!("{name}:{number}:\n  expected  {}\n  found     {}", show(old), show(new)));
        }
    }
}

/// Panics with all failures, if there are any.
pub fn report(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} differ (BLESS=1 writes them anew)\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// What `{:#?}` prints, with every group that fits on one line put there, indented by two.
pub fn compact(debug: &str) -> String {
    let narrow = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        format!("{:1$}{2}", "", indent / 2, line.trim_start())
    };
    let lines: Vec<String> = debug.lines().map(narrow).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < lines.len() {
        let end = close(&lines, at);
        let joined = join(&lines[at..=end]);
        match joined.len() <= WIDTH {
            true => (out, at) = (out + &joined + "\n", end + 1),
            false => (out, at) = (out + lines[at] + "\n", at + 1),
        }
    }
    out
}

/// The line that closes the group that a line opens; the line itself when it opens none.
fn close(lines: &[&str], at: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    if !lines[at].ends_with(['{', '[', '(']) {
        return at;
    }
    let same = |line: &&str| indent(line) == indent(lines[at]);
    at + 1 + lines[at + 1..].iter().position(same).unwrap()
}

fn join(lines: &[&str]) -> String {
    let mut text = lines[0].to_owned();
    for pair in lines.windows(2) {
        let (line, next) = (pair[1].trim_start(), pair[0]);
        let (opens, closes) = (next.ends_with(['{', '[', '(']), line.starts_with(['}', ']', ')']));
        if closes && text.ends_with(',') {
            text.pop();
        }
        let space = match (opens, closes) {
            (true, true) => false,
            (true, false) => next.ends_with('{'),
            (false, true) => line.starts_with('}'),
            (false, false) => true,
        };
        text.push_str(if space { " " } else { "" });
        text.push_str(line);
    }
    text
}

/// What of `new` is not in `base`: lines taken out (`-`) and put in (`+`), below the last line before them
/// that both have.
pub fn difference(base: &str, new: &str) -> String {
    let (base, new): (Vec<&str>, Vec<&str>) = (base.lines().collect(), new.lines().collect());
    let longest = common(&base, &new);
    let (mut i, mut j, mut shown) = (0, 0, usize::MAX);
    let mut out = String::new();
    while i < base.len() || j < new.len() {
        if i < base.len() && j < new.len() && base[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if i > 0 && shown != i {
            out += &format!("  {}\n", base[i - 1]);
        }
        if j >= new.len() || i < base.len() && longest[i + 1][j] >= longest[i][j + 1] {
            out += &format!("- {}\n", base[i]);
            i += 1;
        } else {
            out += &format!("+ {}\n", new[j]);
            j += 1;
        }
        shown = i;
    }
    out
}

/// Lengths of the longest common subsequences of all ends of two lists.
fn common(base: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; new.len() + 1]; base.len() + 1];
    for i in (0..base.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] = match base[i] == new[j] {
                true => table[i + 1][j + 1] + 1,
                false => table[i + 1][j].max(table[i][j + 1]),
            };
        }
    }
    table
}
