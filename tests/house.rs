//! House rules, checked in the text of the source: which module may use which, the lengths of functions and files,
//! where `unsafe` may be.
//!
//! A new module of `src` needs a row in [`MODULES`]. Violations are reported with file and line.

#[path = "house/cycles.rs"]
mod cycles;
#[path = "house/modules.rs"]
mod modules;
#[path = "house/sections.rs"]
mod sections;
#[path = "house/source.rs"]
mod source;

use std::fs;
use std::io;
use std::path::Path;

use cycles::cycles;
use modules::{EXCEPTIONS, MODULES};
use sections::sections;
use source::{File, ends_in_word, exported_macros, follows, has_word, read};

const LONGEST_FUNCTION: usize = 59;
const LONGEST_FILE: usize = 399;

/// Files of tables, which may be longer.
const TABLES: &[&str] = &["src/seccomp/table.rs"];

/// File names that do not describe the contents of a file.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "impl", "types", "handler"];

/// Words for which the vocabulary of CONTRIBUTING.md has another one.
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
    let mut used_exceptions = Vec::new();
    for file in &files {
        let module_of_file = file.module();
        let module_of_file = module_of_file.first().map_or("lib", String::as_str);
        // Without a path: a variable of a macro.
        for (line, path) in file.uses().into_iter().filter(|(_, path)| !path.is_empty()) {
            let first = path.split("::").next().unwrap_or_default();
            let module = macros.iter().find(|(name, _)| name == first).map_or(first, |(_, module)| module);
            let exception = EXCEPTIONS.iter().find(|(at, what)| *at == file.path && path.starts_with(what));
            if exception.is_some() {
                used_exceptions.extend(exception);
            } else if module != module_of_file && !may_use(module_of_file, module) {
                found.push(format!("{}:{line}: {module_of_file} uses {path}", file.path));
            }
        }
        if !MODULES.iter().any(|(module, _)| *module == module_of_file || module_of_file == "lib") {
            found.push(format!("{}:1: the module {module_of_file} has no row in MODULES", file.path));
        }
    }
    let stale = EXCEPTIONS.iter().filter(|exception| !used_exceptions.contains(exception));
    found.extend(stale.map(|(at, what)| format!("{at}:1: no longer uses {what}: remove it from EXCEPTIONS")));
    none("imports point down", &found);
    Ok(())
}

fn may_use(module_of_file: &str, module: &str) -> bool {
    MODULES.iter().any(|(name, below)| *name == module_of_file && below.contains(&module))
}

#[test]
fn table_of_modules_points_down() {
    let mut found = Vec::new();
    for (index, (module, uses)) in MODULES.iter().enumerate() {
        let below = MODULES.get(index + 1..).unwrap_or_default();
        let up = uses.iter().filter(|used| !below.iter().any(|(name, _)| name == *used));
        found
            .extend(up.map(|used| format!("tests/house.rs: {module} may use {used}, which is not below it")));
    }
    none("the table of modules points down", &found);
}

/// `super::` counts, too; imports of unit tests do not.
#[test]
fn files_of_a_module_form_no_cycle() -> io::Result<()> {
    none("files of a module form no cycle", &cycles(&read("src")?));
    Ok(())
}

/// A re-export of another module would circumvent the table.
#[test]
fn no_module_reexports_another() -> io::Result<()> {
    let passes = |line: &str| {
        let line = line.trim_start();
        // `internal` of lib.rs has the modules by their own names.
        !line.contains("$name")
            && line.starts_with("pub")
            && (line.contains(" use crate::") || line.contains(" use super::super::"))
    };
    none("no module re-exports another one", &code_lines(&read("src")?, passes));
    Ok(())
}

#[test]
fn every_file_has_a_documentation_comment() -> io::Result<()> {
    let files = read("src")?.into_iter().chain(read("tests")?);
    let silent = files.filter(|file| !file.text.starts_with("//! "));
    let found: Vec<_> = silent.map(|file| format!("{}:1: does not begin with `//! `", file.path)).collect();
    none("every file has a documentation comment", &found);
    Ok(())
}

#[test]
fn pages_have_no_conflict_markers() -> io::Result<()> {
    let mut found = Vec::new();
    for directory in [".", "docs"] {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let lines = (1..).zip(text.lines());
            let marked = lines.filter(|(_, line)| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>"));
            found.extend(marked.map(|(number, _)| format!("{}:{number}: a conflict marker", path.display())));
        }
    }
    none("pages have no conflict markers", &found);
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
fn file_names_describe_the_contents() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
        let steps = file.path.trim_end_matches(".rs").split('/');
        let empty = steps.filter(|step| EMPTY_NAMES.contains(step));
        found.extend(empty.map(|step| format!("{}:1: {step} does not describe the contents", file.path)));
        let modules = |line: &str| EMPTY_NAMES.iter().any(|name| follows(line, "mod", name));
        found.extend(code_lines(std::slice::from_ref(file), modules));
    }
    none("file names describe the contents", &found);
    Ok(())
}

/// The terms are those of the vocabulary: container init, exec process, intermediate process, start socket, cgroup fds,
/// non-dumpable, peer reset. Checks the words of identifiers, and comments of all kinds.
#[test]
fn words_are_those_of_the_vocabulary() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("src")?.iter().chain(&read("tests")?) {
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
    none("words are those of the vocabulary", &found);
    Ok(())
}

/// In `src/sys`, and in the start of the program.
#[test]
fn unsafe_is_in_sys_and_start_only() -> io::Result<()> {
    let is_unsafe = |line: &str| has_word(line, "unsafe") || line.contains("allow(unsafe_code)");
    let files: Vec<_> = read("src")?
        .into_iter()
        .filter(|file| !file.path.starts_with("src/sys/") && file.path != "src/start.rs")
        .collect();
    none("unsafe is in src/sys and src/start.rs alone", &code_lines(&files, is_unsafe));
    Ok(())
}

#[test]
fn unsafe_blocks_have_a_safety_comment() -> io::Result<()> {
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
    none("unsafe blocks have a SAFETY comment", &found);
    Ok(())
}

/// Whether the comment above the statement has a SAFETY argument.
fn has_safety_above(lines: &[&str], index: usize) -> bool {
    let above = lines.get(..index).unwrap_or_default().iter().rev().map(|line| line.trim());
    let mut above = above.skip_while(|line| !line.starts_with("//") && !line.ends_with([';', '{', '}']));
    above.by_ref().take_while(|line| line.starts_with("//")).any(|line| line.starts_with("// SAFETY: "))
}

#[test]
fn nothing_is_left_unfinished() -> io::Result<()> {
    // In two halves, as this file is read, too.
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

/// mote waits for file descriptors only.
#[test]
fn nothing_sleeps() -> io::Result<()> {
    let calls = ["sleep", "usleep", "nanosleep", "clock_nanosleep", "sleep_ms", "sleep_until", "spin_loop"];
    let sleeps = |line: &str| calls.iter().any(|call| has_word(line, call));
    none("nothing sleeps", &code_lines(&read("src")?, sleeps));
    Ok(())
}

/// Tests may sleep if a comment in the function before gives the reason.
#[test]
fn tests_that_sleep_have_a_comment() -> io::Result<()> {
    let mut found = Vec::new();
    for file in read("tests")? {
        let starts: Vec<usize> = file.functions().into_iter().map(|(line, ..)| line).collect();
        for (number, _) in (1..).zip(file.code.lines()).filter(|(_, line)| line.contains("thread::sleep(")) {
            let start = starts.iter().rfind(|start| **start <= number).unwrap_or(&1);
            let mut before = file.text.lines().take(number).skip(*start);
            if !before.any(|line| line.trim().starts_with("// ")) {
                found.push(format!("{}:{number}: sleeps without a comment", file.path));
            }
        }
    }
    none("tests that sleep have a comment", &found);
    Ok(())
}

/// Messages go through the log of `cli`, and output through one function that reports a full disk.
#[test]
fn nothing_prints() -> io::Result<()> {
    let macros = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    let prints = |line: &str| macros.iter().any(|name| follows(line, name.trim_end_matches('!'), "!"));
    none("nothing prints", &code_lines(&read("src")?, prints));
    Ok(())
}

#[test]
fn every_module_is_in_architecture_md() -> io::Result<()> {
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
    none("every module is in ARCHITECTURE.md", &found);
    Ok(())
}

/// The sizes of the parts of scripts/layout.ld, in bytes. The linker places a function that no pattern matches in .text
/// without a warning, for example after a change of name mangling. The functions of the child have to fit into the
/// first 64 KiB together with the ELF header, and those of the parent after planning into the next 64 KiB.
#[test]
fn layout_is_within_bounds() -> io::Result<()> {
    const PARTS: [(&str, u64, u64); 7] = [
        (".text.child", 32_000, 64_000),
        (".text.host", 48_000, 96_000),
        (".text.created", 3_000, 16_000),
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

/// Fails with all violations.
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}, but:\n{}", found.join("\n"));
}

/// The lines of code that violate a rule.
fn code_lines(files: &[File], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines = (1..).zip(file.code.lines()).filter(|(_, line)| breaks(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    found
}
