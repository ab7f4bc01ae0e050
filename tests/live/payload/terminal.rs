//! Payload verbs for the terminal on the standard input.

use std::io::{Read, Write};

use super::{number, print_result};
use crate::sys;
use crate::sys::pty;

/// What the standard file descriptors are, the session and group of the terminal, and whether /dev/tty can be
/// opened.
pub fn tty(_: &[&str]) {
    for fd in 0..3 {
        let target = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        print_result(&format!("tty:{fd}"), target.map(|target| target.display().to_string()));
    }
    let owners = pty::session_and_group(0);
    print_result("tty:session", owners.as_ref().map(|(session, _)| session).map_err(again));
    print_result("tty:group", owners.as_ref().map(|(_, group)| group).map_err(again));
    print_result("tty:control", std::fs::File::open("/dev/tty").map(|_| "ok"));
}

fn again(error: &std::io::Error) -> std::io::Error {
    std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))
}

/// Rows and columns.
pub fn size(_: &[&str]) {
    print_result("size", pty::size(0).map(|(rows, columns)| format!("{rows} {columns}")));
}

pub fn raw(_: &[&str]) {
    print_result("raw", pty::set_raw(0).map(|()| "ok"));
}

/// Prints this many KiB of numbered lines.
pub fn print_kib(words: &[&str]) {
    let mut out = std::io::stdout();
    // A closed standard output cannot be reported.
    let _ = out.write_all(&numbered_lines(number(&words.concat())));
    let _ = out.flush();
}

/// KiB of lines of 64 bytes, each with its number.
pub fn numbered_lines(size: i32) -> Vec<u8> {
    (0..size * 16).flat_map(|line| format!("{line:063}\n").into_bytes()).collect()
}

/// Adds a word to the input of the terminal, as if it had been typed.
pub fn push_input(words: &[&str]) {
    let pushed = words.concat().bytes().try_for_each(|byte| pty::push_input(0, byte));
    print_result("push_input", pushed.map(|()| "ok"));
}

/// Starts a child that prints without end and ignores signals.
pub fn flood(_: &[&str]) {
    sys::block_signals();
    match sys::fork() {
        Ok(0) => {
            let numbered_lines = numbered_lines(4);
            while std::io::stdout().write_all(&numbered_lines).is_ok() {}
            sys::exit(0)
        }
        result => print_result("flood", result),
    }
}

/// Reads this many KiB, and reports whether they are those that `print_kib` prints.
pub fn read_kib(words: &[&str]) {
    let wanted = numbered_lines(number(&words.concat()));
    let mut given = vec![0; wanted.len()];
    let read = std::io::stdin().read_exact(&mut given);
    let same = given.iter().zip(&wanted).take_while(|(one, other)| one == other).count();
    print_result(
        "read_kib",
        read.map(|()| if same == wanted.len() { "all".into() } else { format!("up to {same}") }),
    );
}
