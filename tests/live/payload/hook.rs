//! Payload verbs of a hook: the state that it is given, and the process of which that speaks.

use std::fs;
use std::io::Read;

use super::{kernel, say, say_result};
use crate::json::Json;

/// The state, and what the host's /proc says of its process: `peek:exe`, `peek:ns:*`, `peek:mounts`, and whether
/// the host's files are still there for it.
pub fn peek(_: &[&str]) {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        return say_result("state", Err::<&str, _>(error));
    }
    say("state", &text);
    let pid = Json::parse(&text).map_or(0, |state| state.at("pid").int());
    let link = |name: &str| {
        let target = fs::read_link(format!("/proc/{pid}/{name}"));
        say_result(&format!("peek:{name}"), target.map(|target| target.display().to_string()));
    };
    link("exe");
    for name in kernel::NAMESPACES {
        link(&format!("ns/{name}"));
    }
    say_result("peek:mounts", fs::read_to_string(format!("/proc/{pid}/mountinfo")));
    let own = std::env::current_exe().unwrap_or_default();
    let there = fs::metadata(format!("/proc/{pid}/root{}", own.display()));
    say_result("peek:host", there.map(|_| "ok"));
}

/// Makes a file where the process that the state is of sees it: `plant:PATH`.
pub fn plant(words: &[&str]) {
    let path = words.first().copied().unwrap_or("");
    // Opened again, it is read from its beginning.
    let state = fs::read_to_string("/proc/self/fd/0").unwrap_or_default();
    let pid = Json::parse(&state).map_or(0, |state| state.at("pid").int());
    let made = fs::File::create_new(format!("/proc/{pid}/root{path}"));
    say_result(&format!("plant:{path}"), made.map(|_| "ok"));
}

/// The standard input, byte after byte.
pub fn sip(_: &[&str]) {
    let mut count = 0u32;
    let mut byte = [0];
    while let Ok(1) = std::io::stdin().read(&mut byte) {
        count += 1;
    }
    say("sip", count);
}
