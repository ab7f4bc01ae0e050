//! What a payload said: its `key=value` lines.

use crate::check::{Outcome, fail};

pub struct Facts(Vec<(String, String)>);

impl Facts {
    pub fn parse(text: &str) -> Facts {
        let line = |line: &str| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.to_string(), unescaped(value))
        };
        Facts(text.lines().map(line).collect())
    }

    /// The last value said under a key; a key that was not said is a fact too.
    pub fn get(&self, key: &str) -> &str {
        let last = self.0.iter().rev().find(|(name, _)| name == key);
        last.map_or("(not said)", |(_, value)| value)
    }

    pub fn all(&self, key: &str) -> Vec<&str> {
        let mine = self.0.iter().filter(|(name, _)| name == key);
        mine.map(|(_, value)| value.as_str()).collect()
    }

    /// The rest of each key that starts so, in the order said.
    pub fn keys(&self, start: &str) -> Vec<&str> {
        let keys = self.0.iter().map(|(name, _)| name.as_str());
        keys.filter_map(|name| name.strip_prefix(start)).collect()
    }

    pub fn is(&self, key: &str, want: &str) -> Outcome {
        let got = self.get(key);
        if got == want { Ok(()) } else { fail(format_args!("{key} is {got:?}, not {want:?}")) }
    }

    /// Whether a mount has these words among its options (per mount, propagation, and file system).
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
