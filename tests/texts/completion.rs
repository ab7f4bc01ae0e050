//! Completions: the same command lines in every shell.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::help::{MOTE, Opt, all, mote, output};
use crate::scratch::{Scratch, executable};
use crate::shell::{SHELLS, Shell};

const IDS: [&str; 5] = ["+y", "-x", "a.b_c", "web", "web-2"];

/// Command lines, and the words that complete them; `@` is a state root with containers of those ids.
const LINES: &[(&str, &[&str])] = &[
    ("mote st", &["start", "state"]),
    ("mote --debug ex", &["exec"]),
    ("mote nothing ", &[]),
    ("mote --log-f", &["--log-format"]),
    ("mote --log-format ", &["json", "text"]),
    ("mote --log-format=", &["json", "text"]),
    ("mote --log-format=t", &["text"]),
    ("mote --cgroup-manager s", &["systemd"]),
    ("mote run --pid", &["--pid-file", "--pidfd-socket"]),
    ("mote list -f ", &["json", "table"]),
    ("mote ps --format=j", &["json"]),
    ("mote features --fo", &[]),
    ("mote completion ", &["bash", "fish", "zsh"]),
    ("mote --root @ kill ", &IDS),
    ("mote --root=@ state w", &["web", "web-2"]),
    ("mote --root @ exec --env A=b=c --user 1:2 w", &["web", "web-2"]),
    ("mote --root @ exec web --us", &["--user"]),
    ("mote --root @ exec web sh --us", &[]),
    ("mote --root @ ps web --f", &[]),
    ("mote --root @ delete -- -", &["-x"]),
    ("mote --root @/none kill ", &[]),
    ("mote kill web K", &["KILL"]),
    ("mote kill --all web SIGK", &["SIGKILL"]),
    ("mote kill web KILL x", &[]),
    ("mote run --bundle p", &["place"]),
    ("mote run --bundle=p", &["place"]),
    ("mote run -f p", &["paper", "place"]),
];

/// A directory with a state root: stopped containers, and entries that mote would not create.
fn state_root(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    for directory in ["bin", "place", "state/$(touch pwned)", "state/a b", "state/*", "state/.hidden"] {
        fs::create_dir_all(scratch.0.join(directory)).unwrap();
    }
    for id in IDS {
        let directory = scratch.0.join("state").join(id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("status"), r#"{"pid":0}"#).unwrap();
    }
    fs::write(scratch.0.join("paper"), "").unwrap();
    scratch
}

#[test]
fn scripts_are_valid_in_the_shells() {
    for shell in SHELLS.into_iter().filter(|shell| shell.is_installed()) {
        let scratch = Scratch::new(&format!("syntax-{}", shell.name()));
        let script = scratch.0.join("script");
        fs::write(&script, mote(&["completion", shell.name()])).unwrap();
        assert_eq!(output(Command::new(shell.name()).arg("-n").arg(script)), "", "{shell:?}");
    }
}

/// Texts of the tables contain no characters that bash, zsh or fish interpret, and no column is empty.
#[test]
fn tables_need_no_quotes() {
    for help in all() {
        for Opt { long, value, about, .. } in &help.options {
            let value = value.as_deref().unwrap_or("-");
            for text in [&help.about, long, value, about] {
                assert!(!text.contains(['"', '$', '\\', '@', '\t']), "{} {long}: {text}", help.name);
            }
            assert!(!value.is_empty() && !value.contains(' ') && !about.is_empty(), "{} {long}", help.name);
        }
    }
}

#[test]
fn unknown_shell_is_rejected() {
    let output = Command::new(MOTE).args(["completion", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "mote: completion: unknown shell \"tcsh\"\n");
    assert_eq!(Command::new(MOTE).arg("completion").output().unwrap().status.code(), Some(1));
}

#[test]
fn every_command_and_option_is_offered() {
    for shell in SHELLS.into_iter().filter(|shell| shell.is_installed()) {
        let scratch = state_root(&format!("every-{}", shell.name()));
        symlink(MOTE, scratch.0.join("bin/mote")).unwrap();
        let all = all();
        let mut names: Vec<&str> = all.iter().skip(1).map(|help| help.name.as_str()).collect();
        names.extend(["help", "version"]);
        names.sort_unstable();
        let mut lines = vec!["mote ".to_string(), "mote -".into()];
        lines.extend(all.iter().skip(1).map(|help| format!("mote {} -", help.name)));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let offered = shell.complete(&scratch, &lines);
        assert_eq!(offered[0], names, "{shell:?}");
        for (help, offered) in all.iter().zip(&offered[1..]) {
            let spelled = |option: &Opt| option.short.clone().into_iter().chain([option.long.clone()]);
            let mut options: Vec<String> = help.options.iter().flat_map(spelled).collect();
            options.sort();
            assert_eq!(*offered, options, "{shell:?}: mote {}", help.name);
        }
    }
}

#[test]
fn lines_are_completed() {
    for shell in SHELLS.into_iter().filter(|shell| shell.is_installed()) {
        let scratch = state_root(&format!("lines-{}", shell.name()));
        symlink(MOTE, scratch.0.join("bin/mote")).unwrap();
        let root = scratch.0.join("state").display().to_string();
        let lines: Vec<String> = LINES.iter().map(|(line, _)| line.replace('@', &root)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for ((line, expected), offered) in LINES.iter().zip(shell.complete(&scratch, &lines)) {
            assert_eq!(offered, *expected, "{shell:?}: {line}");
        }
    }
}

/// Ids in the output of `mote` are offered literally, and nothing in them is executed or expanded.
#[test]
fn unusual_ids_are_literal() {
    let ids = ["\"", "$(touch pwned)", "'", "*", "`touch pwned`", "a b", "{x,y}", "~"];
    for shell in SHELLS.into_iter().filter(|shell| shell.is_installed()) {
        let scratch = state_root(&format!("odd-{}", shell.name()));
        let program = scratch.0.join("bin/mote");
        executable(&program, &format!("#!/bin/sh\ncat <<'END'\n{}\nEND\n", ids.join("\n")));
        let offered = shell.complete(&scratch, &["mote state ", "mote state a", "mote state z"]);
        assert_eq!(offered, [&ids[..], &ids[5..6], &[]], "{shell:?}");
        assert!(!scratch.0.join("pwned").exists(), "{shell:?} executed it");
    }
}

/// bash passes words as typed: a root in quotes, or with `~`.
#[test]
fn bash_removes_quotes_and_expands_home() {
    if !Shell::Bash.is_installed() {
        return;
    }
    let scratch = state_root("quotes");
    symlink(MOTE, scratch.0.join("bin/mote")).unwrap();
    for root in ["~/state", "'state'", "\"state\"", "st\\ate", "~/\"state\""] {
        let line = format!("mote --root {root} kill w");
        assert_eq!(Shell::Bash.complete(&scratch, &[&line]), [["web", "web-2"]], "{root}");
    }
}
