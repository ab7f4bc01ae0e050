//! Source files as text, with a minimal parser of Rust: code without comments and literals, functions with their
//! lengths, and paths of the crate.

use std::fs;
use std::io::Result;
use std::path::Path;

pub struct File {
    /// `src/module/file.rs`
    pub path: String,
    pub text: String,
    /// The text with comments and literals replaced by blanks, with the same lines.
    pub code: String,
}

/// All Rust files below a directory, sorted.
pub fn read(directory: &str) -> Result<Vec<File>> {
    let mut files = Vec::new();
    collect(Path::new(directory), &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn collect(directory: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            // Build output of Cargo, as below tests/fuzz.
            if !path.ends_with("target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path)?;
            files.push(File { path: path.display().to_string(), code: code(&text), text });
        }
    }
    Ok(())
}

/// Replaces comments and literals by blanks.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = match ends_in_word(&code) && letter != '"' {
            true => None,
            false => length_of_text(rest),
        };
        let (blank, after) = rest.split_at(length.unwrap_or(letter.len_utf8()));
        match length {
            Some(_) => code.extend(blank.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' })),
            None => code.push(letter),
        }
        rest = after;
    }
    code
}

/// The length of the comment or literal at the beginning of the text.
fn length_of_text(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return text.find('\n').or(Some(text.len()));
    }
    if text.starts_with("/*") {
        return text.find("*/").map(|end| end + 2);
    }
    let quoted = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - quoted.len();
    if let Some(raw) = quoted.strip_prefix('r') {
        let hashes = &raw[..raw.len() - raw.trim_start_matches('#').len()];
        let inside = raw.strip_prefix(hashes)?.strip_prefix('"')?;
        let end = format!("\"{hashes}");
        return inside.find(&end).map(|at| prefix + 1 + hashes.len() + 1 + at + end.len());
    }
    if quoted.starts_with('"') {
        return closing(quoted, '"').map(|end| prefix + end);
    }
    // A lifetime has no second quote.
    let letter = quoted.strip_prefix('\'')?.chars().next()?;
    let closed = letter == '\\' || quoted[1 + letter.len_utf8()..].starts_with('\'');
    closed.then(|| closing(quoted, '\'')).flatten().map(|end| prefix + end)
}

/// The end of a literal that begins with a quote.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    loop {
        match letters.next()? {
            (_, '\\') => drop(letters.next()),
            (at, letter) if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
}

impl File {
    /// The steps of `module::file`; a `mod.rs` has only those of its module.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|step| *step != "lib").map(str::to_string).collect()
    }

    /// All paths of the crate in the code, from its root, with their lines.
    pub fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("::") {
            let head = word_before(&self.code[..at]);
            let before = self.code[..at - head.len()].trim_end();
            let line = self.code[..at].matches('\n').count() + 1;
            let mut base = match head {
                _ if before.ends_with("::") => continue,
                // The library, in the binary.
                "crate" | "mote" => Vec::new(),
                "super" => self.around(at),
                _ => continue,
            };
            let mut rest = &self.code[at + 2..];
            rest = rest.strip_prefix("internal::").unwrap_or(rest);
            while let Some(above) = rest.strip_prefix("super::") {
                base.pop();
                rest = above;
            }
            spread(&base.join("::"), rest, &mut |path| found.push((line, path)));
        }
        found
    }

    /// The same without those of unit tests, and with those of a `mod.rs` to its own files.
    pub fn uses_outside_tests(&self) -> Vec<String> {
        let code = match self.code.match_indices("#[cfg(").find(|(at, _)| is_test(&self.code[*at..])) {
            Some((at, _)) => &self.code[..at],
            None => &self.code,
        };
        let mut found: Vec<String> = Vec::new();
        let own = File { path: self.path.clone(), text: String::new(), code: code.to_string() };
        found.extend(own.uses().into_iter().map(|(_, path)| path));
        // Paths to modules that are declared here.
        let declared = code.lines().filter_map(|line| line.trim_end().strip_suffix(';')?.rsplit_once("mod "));
        for (_, child) in declared.filter(|(_, child)| child.chars().all(is_word)) {
            let mut paths = code.match_indices(child);
            let is_path = |(at, _): (usize, &str)| {
                !ends_in_word(&code[..at])
                    && !code[..at].ends_with("::")
                    && code[at..].starts_with(&format!("{child}::"))
            };
            if paths.any(is_path) {
                found.push([self.module(), vec![child.to_string()]].concat().join("::"));
            }
        }
        found
    }

    /// The module that `super` refers to at a position. rustfmt puts the closing brace of an inline module at the begin
    /// of a line.
    fn around(&self, at: usize) -> Vec<String> {
        let mut module = self.module();
        let last = self.code[..at].lines().rfind(|line| *line == "}" || line.starts_with("mod "));
        if last.is_none_or(|line| !line.ends_with('{')) {
            module.pop();
        }
        module
    }

    /// Every function: line, name and length in lines.
    pub fn functions(&self) -> Vec<(usize, String, usize)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let (before, rest) = (&self.code[..at], &self.code[at + 3..]);
            let name = word(rest);
            if !ends_in_word(before) && !name.is_empty() {
                let length = body(rest).map_or(1, |end| rest[..end].matches('\n').count() + 1);
                found.push((before.matches('\n').count() + 1, name.to_string(), length));
            }
        }
        found
    }
}

/// The end of a function's body; `None` for a declaration.
fn body(text: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        if letter == '}' && braces == 0 {
            return Some(at);
        }
    }
    None
}

/// Calls `add` for every path of `a::{b, c::d}`, and returns the rest of the text.
fn spread<'a>(base: &str, text: &'a str, add: &mut impl FnMut(String)) -> &'a str {
    let Some(mut rest) = text.strip_prefix('{') else {
        let name = if text.starts_with('*') { "*" } else { word(text) };
        let path = if base.is_empty() { name.to_string() } else { format!("{base}::{name}") };
        let rest = &text[name.len()..];
        return match rest.strip_prefix("::") {
            Some(deeper) => spread(&path, deeper, add),
            None => {
                add(path);
                rest
            }
        };
    };
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        if rest.is_empty() || rest.starts_with('}') {
            return rest.get(1..).unwrap_or_default();
        }
        rest = spread(base, rest, add);
        // `as name`
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
    }
}

/// The macros that files export at the root of the crate, with their modules.
pub fn exported_macros(files: &[File]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files {
        let exported = file.code.split("#[macro_export]").skip(1);
        let names = exported.filter_map(|text| text.split("macro_rules! ").nth(1)).map(word);
        let room = file.module().first().cloned().unwrap_or_default();
        found.extend(names.map(|name| (name.to_string(), room.clone())));
    }
    found
}

/// Whether an attribute is for tests only.
fn is_test(attribute: &str) -> bool {
    has_word(attribute.lines().next().unwrap_or_default(), "test")
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

pub fn ends_in_word(text: &str) -> bool {
    text.ends_with(is_word)
}

/// The word at the beginning of a text.
fn word(text: &str) -> &str {
    &text[..text.find(|letter| !is_word(letter)).unwrap_or(text.len())]
}

fn word_before(text: &str) -> &str {
    &text[text.trim_end_matches(is_word).len()..]
}

pub fn has_word(line: &str, wanted: &str) -> bool {
    line.match_indices(wanted).any(|(at, _)| !ends_in_word(&line[..at]) && word(&line[at..]) == wanted)
}

/// Whether a line has a word that is followed by another word or a sign.
pub fn follows(line: &str, first: &str, next: &str) -> bool {
    line.match_indices(first).any(|(at, _)| {
        let rest = line[at + first.len()..].trim_start();
        let whole = !ends_in_word(&line[..at]) && word(&line[at..]) == first;
        whole && (word(rest) == next || !next.starts_with(is_word) && rest.starts_with(next))
    })
}
