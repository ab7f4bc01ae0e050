//! The report of a payload: its `key=value` lines.

use crate::check::{Outcome, fail};

pub struct Report(Vec<(String, String)>);

impl Report {
    pub fn parse(text: &str) -> Report {
        let line = |line: &str| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.to_string(), unescaped(value))
        };
        Report(text.lines().map(line).collect())
    }

    /// The last value of a key, or "(not reported)", so that a test can compare with that, too.
    pub fn get(&self, key: &str) -> &str {
        let last = self.0.iter().rev().find(|(name, _)| name == key);
        last.map_or("(not reported)", |(_, value)| value)
    }

    pub fn all(&self, key: &str) -> Vec<&str> {
        let mine = self.0.iter().filter(|(name, _)| name == key);
        mine.map(|(_, value)| value.as_str()).collect()
    }

    /// The rest of each key that begins with `start`, in the order of the report.
    pub fn keys(&self, start: &str) -> Vec<&str> {
        let keys = self.0.iter().map(|(name, _)| name.as_str());
        keys.filter_map(|name| name.strip_prefix(start)).collect()
    }

    pub fn is(&self, key: &str, want: &str) -> Outcome {
        let got = self.get(key);
        if got == want { Ok(()) } else { fail(format_args!("{key} is {got:?}, not {want:?}")) }
    }

    /// Checks that a mount has these options (per mount, propagation, or per file system).
    pub fn mount_has(&self, place: &str, words: &[&str]) -> Outcome {
        let line = self.get(&format!("mount:{place}"));
        let has = |word: &&str| line.split([' ', ',']).any(|option| option == *word);
        match words.iter().find(|word| !has(word)) {
            Some(word) => fail(format_args!("mount {place} lacks {word:?}: {line:?}")),
            None => Ok(()),
        }
    }

    pub fn mount_lacks(&self, place: &str, words: &[&str]) -> Outcome {
        let line = self.get(&format!("mount:{place}"));
        let has = |word: &&&str| line.split([' ', ',']).any(|option| option == **word);
        match words.iter().find(has) {
            Some(word) => fail(format_args!("mount {place} has {word:?}: {line:?}")),
            None => Ok(()),
        }
    }
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}
