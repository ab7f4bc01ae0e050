//! The house rules, checked in the source as text: who may use whom, how long things may be, where `unsafe` is.
//!
//! A new room of `src` needs a row in [`ROOMS`]. What breaks a rule is named by file and line.

#[path = "house/circles.rs"]
mod circles;
#[path = "house/rooms.rs"]
mod rooms;
#[path = "house/sections.rs"]
mod sections;
#[path = "house/source.rs"]
mod source;

use std::fs;
use std::io;
use std::path::Path;

use circles::circles;
use rooms::{BENDS, ROOMS};
use sections::sections;
use source::{File, ends_in_word, exported_macros, follows, has_word, read};

const LONGEST_FUNCTION: usize = 59;
const LONGEST_FILE: usize = 399;

/// Files of tables, which may be longer.
const TABLES: &[&str] = &["src/seccomp/table.rs"];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "impl", "types", "handler"];

/// Names that only this project gave to things which have others.
const PRIVATE_WORDS: &[&str] = &[
    "ask",
    "asked",
    "asks",
    "deaf",
    "door",
    "doors",
    "gate",
    "hear",
    "heard",
    "hears",
    "judge",
    "judged",
    "judges",
    "keeper",
    "knock",
    "knocks",
    "life",
    "said",
    "say",
    "says",
    "tell",
    "tells",
    "tenant",
    "tenants",
    "told",
    "undumpable",
    "veil",
    "visitor",
];

#[test]
fn imports_point_down() -> io::Result<()> {
    let files = read("src")?;
    let macros = exported_macros(&files);
    let mut found = Vec::new();
    let mut bent = Vec::new();
    for file in &files {
        let own = file.module();
        let own = own.first().map_or("lib", String::as_str);
        for (line, path) in file.uses() {
            let first = path.split("::").next().unwrap_or_default();
            let room = macros.iter().find(|(name, _)| name == first).map_or(first, |(_, room)| room);
            let bend = BENDS.iter().find(|(at, what)| *at == file.path && path.starts_with(what));
            if bend.is_some() {
                bent.extend(bend);
            } else if room != own && !may_use(own, room) {
                found.push(format!("{}:{line}: {own} uses {path}", file.path));
            }
        }
        if !ROOMS.iter().any(|(room, _)| *room == own || own == "lib") {
            found.push(format!("{}:1: the room {own} has no row in ROOMS", file.path));
        }
    }
    let stale = BENDS.iter().filter(|bend| !bent.contains(bend));
    found.extend(stale.map(|(at, what)| format!("{at}:1: uses {what} no more: take it out of BENDS")));
    none("imports point down", &found);
    Ok(())
}

fn may_use(own: &str, room: &str) -> bool {
    ROOMS.iter().any(|(name, below)| *name == own && below.contains(&room))
}

#[test]
fn the_table_of_rooms_points_down() {
    let mut found = Vec::new();
    for (index, (room, uses)) in ROOMS.iter().enumerate() {
        let below = ROOMS.get(index + 1..).unwrap_or_default();
        let up = uses.iter().filter(|used| !below.iter().any(|(name, _)| name == *used));
        found.extend(up.map(|used| format!("tests/house.rs: {room} may use {used}, which is not below it")));
    }
    none("the table of rooms points down", &found);
}

/// `super::` counts as well; what only tests use does not.
#[test]
fn files_of_a_room_form_no_circle() -> io::Result<()> {
    none("files of a room form no circle", &circles(&read("src")?));
    Ok(())
}

/// A room that passed another one on would be a way around the table.
#[test]
fn no_room_passes_another_on() -> io::Result<()> {
    let passes = |line: &str| {
        let line = line.trim_start();
        line.starts_with("pub") && (line.contains(" use crate::") || line.contains(" use super::super::"))
    };
    none("no room passes another on", &code_lines(&read("src")?, passes));
    Ok(())
}

#[test]
fn every_file_says_what_it_is() -> io::Result<()> {
    let files = read("src")?.into_iter().chain(read("tests")?);
    let silent = files.filter(|file| !file.text.starts_with("//! "));
    let found: Vec<_> = silent.map(|file| format!("{}:1: does not begin with `//! `", file.path)).collect();
    none("every file says what it is", &found);
    Ok(())
}

#[test]
fn functions_are_short() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        for (line, name, length) in file.functions() {
            if length > LONGEST_FUNCTION {
                found.push(format!("{}:{line}: {name} has {length} lines", file.path));
            }
        }
    }
    none(&format!("functions have {LONGEST_FUNCTION} lines at most"), &found);
    Ok(())
}

#[test]
fn files_are_short() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        let length = file.text.lines().count();
        if length > LONGEST_FILE && !TABLES.contains(&file.path.as_str()) {
            found.push(format!("{}:{length}: is the last of {length} lines", file.path));
        }
    }
    none(&format!("files have {LONGEST_FILE} lines at most"), &found);
    Ok(())
}

#[test]
fn names_say_something() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        let steps = file.path.trim_end_matches(".rs").split('/');
        let empty = steps.filter(|step| EMPTY_NAMES.contains(step));
        found.extend(empty.map(|step| format!("{}:1: {step} says nothing", file.path)));
        let modules = |line: &str| EMPTY_NAMES.iter().any(|name| follows(line, "mod", name));
        found.extend(code_lines(std::slice::from_ref(file), modules));
    }
    none("names say something", &found);
    Ok(())
}

/// The words of the field stand in their place: container init, exec process, intermediate process, start socket,
/// cgroup fds, non-dumpable, peer reset. Identifiers are looked at word by word, and comments of all kinds.
#[test]
fn words_are_those_of_the_field() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")? {
        for (number, (code, line)) in (1..).zip(file.code.lines().zip(file.text.lines())) {
            let comment =
                line.find("//").filter(|at| code.get(*at..*at + 1) == Some(" ")).map(|at| &line[at..]);
            let words = |text: &str| {
                let parts = text.split(|letter: char| !letter.is_alphabetic()).map(str::to_lowercase);
                parts.collect::<Vec<_>>()
            };
            let all = [words(code), comment.map(words).unwrap_or_default()].concat();
            let private = PRIVATE_WORDS.iter().filter(|word| all.iter().any(|one| one == *word));
            found.extend(private.map(|word| format!("{}:{number}: \"{word}\"", file.path)));
        }
    }
    none("words are those of the field", &found);
    Ok(())
}

/// In `src/sys`, and where `main.rs` gives C its `main`.
#[test]
fn unsafe_is_where_it_belongs() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().filter(|file| !file.path.starts_with("src/sys/")) {
        let main = match file.path.as_str() {
            "src/main.rs" => file.functions().into_iter().find(|(_, name, _)| name == "main"),
            _ => None,
        };
        // The function, and the two attributes above it.
        let marked = main.map_or(0..0, |(line, _, length)| line - 2..line + length);
        for (number, line) in (1..).zip(file.code.lines()) {
            let allowed = line.contains("allow(unsafe_code)");
            if (has_word(line, "unsafe") || allowed) && !marked.contains(&number) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none("unsafe is in src/sys and around main alone", &found);
    Ok(())
}

#[test]
fn unsafe_blocks_say_why_they_are_safe() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in file.code.lines().enumerate() {
            let opens = follows(line, "unsafe", "{") || follows(line, "unsafe", "impl");
            if opens && !has_safety_above(&lines, index) {
                found.push(format!("{}:{}: no `// SAFETY:` above", file.path, index + 1));
            }
        }
    }
    none("unsafe blocks say why they are safe", &found);
    Ok(())
}

/// Whether the comment above a line's statement gives the argument.
fn has_safety_above(lines: &[&str], index: usize) -> bool {
    let above = lines.get(..index).unwrap_or_default().iter().rev().map(|line| line.trim());
    let mut above = above.skip_while(|line| !line.starts_with("//") && !line.ends_with([';', '{', '}']));
    above.by_ref().take_while(|line| line.starts_with("//")).any(|line| line.starts_with("// SAFETY: "))
}

#[test]
fn nothing_is_left_unfinished() -> io::Result<()> {
    // Spelled in two halves, for this file is read too.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let macros = [concat!("to", "do!"), concat!("unimple", "mented!")];
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        for (number, line) in (1..).zip(file.text.lines()) {
            let marked = marks.iter().any(|mark| has_word(line, mark));
            if marked || macros.iter().any(|name| line.contains(name)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none("nothing is left unfinished", &found);
    Ok(())
}

/// What is waited for has a descriptor.
#[test]
fn nothing_sleeps() -> io::Result<()> {
    let calls = ["sleep", "usleep", "nanosleep", "clock_nanosleep", "sleep_ms", "sleep_until", "spin_loop"];
    let sleeps = |line: &str| calls.iter().any(|call| has_word(line, call));
    none("nothing sleeps", &code_lines(&read("src")?, sleeps));
    Ok(())
}

/// A test may have to, but then its function says why before it does.
#[test]
fn tests_that_sleep_say_why() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("tests")? {
        let starts: Vec<usize> = file.functions().into_iter().map(|(line, ..)| line).collect();
        for (number, _) in (1..).zip(file.code.lines()).filter(|(_, line)| line.contains("thread::sleep(")) {
            let start = starts.iter().rfind(|start| **start <= number).unwrap_or(&1);
            let mut before = file.text.lines().take(number).skip(*start);
            if !before.any(|line| line.trim().starts_with("// ")) {
                found.push(format!("{}:{number}: sleeps, and no comment says why", file.path));
            }
        }
    }
    none("tests that sleep say why", &found);
    Ok(())
}

/// What mote says goes through `cli`'s log, and its output through one function that sees a full disk.
#[test]
fn nothing_prints() -> io::Result<()> {
    let macros = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    let prints = |line: &str| macros.iter().any(|name| follows(line, name.trim_end_matches('!'), "!"));
    none("nothing prints", &code_lines(&read("src")?, prints));
    Ok(())
}

#[test]
fn every_room_is_in_the_picture() -> io::Result<()> {
    let picture = fs::read_to_string("ARCHITECTURE.md").unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir("src")? {
        let entry = entry?;
        let name = format!("{}/", entry.file_name().display());
        let named = |line: &str| line.match_indices(&name).any(|(at, _)| !ends_in_word(&line[..at]));
        if entry.file_type()?.is_dir() && !picture.lines().any(named) {
            found.push(format!("ARCHITECTURE.md:1: does not name src/{name}"));
        }
    }
    found.sort();
    none("every room is in ARCHITECTURE.md", &found);
    Ok(())
}

/// The sizes of the parts of scripts/layout.ld, in bytes. The linker places a function that no pattern matches in .text, without
/// a warning, as after a change of how names are mangled. What the child runs has to fit into the first 64 KiB, with the
/// ELF header, and what the parent runs after planning into the 64 KiB after that.
#[test]
fn layout_is_within_bounds() -> io::Result<()> {
    const PARTS: [(&str, u64, u64); 7] = [
        (".text.child", 32_000, 64_000),
        (".text.host", 48_000, 96_000),
        (".text.created", 4_000, 32_000),
        (".text.plan", 48_000, 128_000),
        (".text.small", 16_000, 64_000),
        (".rodata.other", 32_000, 64_000),
        (".bss.allocator", 128_000, 132_000),
    ];
    let program = Path::new("target/mote");
    if !program.exists() {
        // scripts/test has built it; plain cargo test need not.
        assert!(std::env::var("MUST").is_err(), "{} is missing", program.display());
        return Ok(());
    }
    let sections = sections(program)?;
    let size = |part: &str| sections.iter().find(|(name, _)| name == part).map_or(0, |(_, size)| *size);
    let mut found = Vec::new();
    for (part, least, most) in PARTS {
        if !(least..=most).contains(&size(part)) {
            found.push(format!(
                "{}: {part} has {} bytes, not {least} to {most}",
                program.display(),
                size(part)
            ));
        }
    }
    let both = size(".text.child") + size(".text.host");
    if both > 2 * 64 * 1024 - 512 {
        found.push(format!("{}: .text.child and .text.host have {both} bytes", program.display()));
    }
    none("the parts of scripts/layout.ld are within bounds", &found);
    Ok(())
}

/// Fails with everything that was found.
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}, but:\n{}", found.join("\n"));
}

/// The lines of code that break a rule.
fn code_lines(files: &[File], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines = (1..).zip(file.code.lines()).filter(|(_, line)| breaks(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    found
}
