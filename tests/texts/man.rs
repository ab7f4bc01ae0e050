//! The manual pages of `scripts/man`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::help::{MOTE, all, output};
use crate::scratch::{Scratch, files, has};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/man");

fn pages(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    let mut command = Command::new(SCRIPT);
    command.arg(&scratch.0).env("MOTE", MOTE).env("SOURCE_DATE_EPOCH", "1790000000");
    assert_eq!(output(&mut command), "");
    scratch
}

/// The text of a page without font changes, and with plain hyphens.
fn read(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-")
}

#[test]
fn every_command_has_a_page_with_its_options() {
    let scratch = pages("pages");
    let all = all();
    let name = |name: &str| if name.is_empty() { "mote.1".into() } else { format!("mote-{name}.1") };
    let mut names: Vec<String> = all.iter().map(|help| name(&help.name)).collect();
    names.sort();
    assert_eq!(files(&scratch.0), names);
    for help in &all {
        let page = name(&help.name);
        let text = read(&scratch.0.join(&page));
        for option in &help.options {
            let entry = format!("\n.TP\n{}\n{}\n", option.head(), option.about.replace('`', ""));
            assert!(text.contains(&entry), "{page} does not contain {entry}");
        }
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"] {
            assert_eq!(text.matches(&format!("\n.SH {section}\n")).count(), 1, "{page}: {section}");
        }
        assert!(!text.contains("@"), "{page}: a placeholder was not replaced");
        assert!(text.starts_with(&format!(
            ".TH {} 1 \"2026-09-21\" \"mote ",
            page.trim_end_matches(".1").to_uppercase()
        )));
    }
    let text = read(&scratch.0.join("mote.1"));
    for help in all.iter().skip(1) {
        let entry = format!("\n.TP\n{}\n{}\n", help.name, help.about.replace('`', ""));
        assert!(text.contains(&entry), "mote.1 does not contain {entry}");
    }
    for section in ["COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
        assert!(text.contains(&format!("\n.SH {section}\n")), "mote.1: {section}");
    }
}

#[test]
fn pages_are_valid_roff() {
    let scratch = pages("roff");
    if has("mandoc") {
        for page in files(&scratch.0) {
            let mut command = Command::new("mandoc");
            command.args(["-T", "lint", "-W", "warning"]).arg(scratch.0.join(&page));
            assert_eq!(output(&mut command), "", "{page}");
        }
    }
}

/// The manual page of the library for C, and the functions that it names.
#[test]
fn page_of_the_library() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/bindings/c/libmote.3");
    if has("mandoc") {
        let mut command = Command::new("mandoc");
        assert_eq!(output(command.args(["-T", "lint", "-W", "warning", page])), "");
    }
    let header = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bindings/c/mote.h")));
    let text = read(Path::new(page));
    assert!(text.contains(&format!("\n.Os \"mote {}\"\n", env!("CARGO_PKG_VERSION"))));
    let named = text.lines().filter_map(|line| line.split("Fn ").nth(1)?.split([' ', ',']).next());
    let missing: Vec<&str> = named.filter(|name| !header.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let table = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/library.md")));
    let code =
        table.split('`').skip(1).step_by(2).filter(|name| name.starts_with("mote_") && !name.contains(' '));
    let missing: Vec<&str> =
        code.filter(|name| !header.contains(name)).filter(|name| *name != "mote_runtime.aio").collect();
    assert!(missing.is_empty(), "docs/library.md: {missing:?}");
}

/// Every page that is referred to exists.
#[test]
fn references_exist() {
    let scratch = pages("refer");
    let names = files(&scratch.0);
    for page in &names {
        let text = read(&scratch.0.join(page));
        for line in text.lines().filter(|line| line.starts_with(".BR mote")) {
            let name = line.split(' ').nth(1).unwrap();
            let refers = line.contains(" (1)");
            assert!(!refers || names.contains(&format!("{name}.1")), "{page}: {line}");
        }
    }
}

#[test]
fn no_pages_without_a_binary() {
    let scratch = Scratch::new("none");
    let output =
        Command::new(SCRIPT).arg(scratch.0.join("man")).env("MOTE", "/nowhere/mote").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "scripts/man: /nowhere/mote is missing: run scripts/build --tiny\n");
    assert_eq!(files(&scratch.0), [""; 0]);
}
