//! Payload verbs of a hook: the state on its standard input, and the process with the PID of that state.

use std::fs;
use std::io::Read;

use super::{kernel, print, print_result};
use crate::json::Json;

/// Reports the state, and the process in the host's /proc: `process:exe`, `process:ns:*`, `process:mounts`, and whether the
/// files of the host are still reachable from it.
pub fn state(_: &[&str]) {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        return print_result("state", Err::<&str, _>(error));
    }
    print("state", &text);
    let pid = Json::parse(&text).map_or(0, |state| state.at("pid").int());
    let link = |name: &str| {
        let target = fs::read_link(format!("/proc/{pid}/{name}"));
        print_result(&format!("process:{name}"), target.map(|target| target.display().to_string()));
    };
    link("exe");
    for name in kernel::NAMESPACES {
        link(&format!("ns/{name}"));
    }
    print_result("process:mounts", fs::read_to_string(format!("/proc/{pid}/mountinfo")));
    let own = std::env::current_exe().unwrap_or_default();
    let there = fs::metadata(format!("/proc/{pid}/root{}", own.display()));
    print_result("process:host", there.map(|_| "ok"));
}

/// Creates a file in the root of the process with the PID of the state: `create_in_process:PATH`.
pub fn create_in_process(words: &[&str]) {
    let path = words.first().copied().unwrap_or("");
    // Opening the standard input again reads it from the beginning.
    let state = fs::read_to_string("/proc/self/fd/0").unwrap_or_default();
    let pid = Json::parse(&state).map_or(0, |state| state.at("pid").int());
    let made = fs::File::create_new(format!("/proc/{pid}/root{path}"));
    print_result(&format!("create_in_process:{path}"), made.map(|_| "ok"));
}

/// Reads the standard input byte by byte.
pub fn stdin_length(_: &[&str]) {
    let mut count = 0u32;
    let mut byte = [0];
    while let Ok(1) = std::io::stdin().read(&mut byte) {
        count += 1;
    }
    print("stdin_length", count);
}
