//! Unbuffered standard output.

use mote::internal::error::{Error, On, Result};
use mote::internal::host;
use mote::internal::sys::fd::stdout;
use rustix::io::write;

/// Prints a text and returns exit code 0.
pub fn print(text: &str) -> Result<i32> {
    let stdout = stdout().ok_or_else(|| Error::invalid(format_args!("standard output is closed")))?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let count = write(stdout, rest).on(format_args!("write to standard output"))?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(0)
}

/// Formats compact JSON on several lines with an indentation of two spaces, as Go's `json.MarshalIndent` does.
pub fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            text.push(c);
            (in_string, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => text.push(c),
            '{' | '[' => {
                depth += 1;
                text.push(c);
                line(&mut text, depth);
            }
            '}' | ']' => {
                if !text.ends_with(['{', '[']) {
                    depth -= 1;
                    line(&mut text, depth);
                }
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text += ": ",
            c => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text.push('\n');
    text
}

fn line(text: &mut String, depth: usize) {
    text.push('\n');
    for _ in 0..depth {
        text.push_str("  ");
    }
}

/// The name of a user of the host (passwd(5)), or the user ID if it has no name.
pub fn user_name(uid: u32) -> String {
    // Most containers belong to root, whose name is the same everywhere: no need to read the file.
    if uid == 0 {
        return "root".into();
    }
    host::user_name(uid).unwrap_or_else(|| uid.to_string())
}
