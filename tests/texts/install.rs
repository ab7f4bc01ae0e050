//! The files that `scripts/install` installs and uninstalls.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::help::{MOTE, mote};
use crate::scratch::{Scratch, files};

fn install(mote: &str, words: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install");
    Command::new(script).args(words).env("MOTE", mote).output().unwrap()
}

#[test]
fn installed_and_uninstalled() {
    let scratch = Scratch::new("install");
    let destination = scratch.0.join("a b").display().to_string();
    let words = ["--prefix=/usr", "--destdir", &destination];
    // The second time over the existing files.
    for _ in 0..2 {
        let output = install(MOTE, &words);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{destination}/usr/bin/mote\n"));
    }
    let usr = scratch.0.join("a b/usr");
    assert_eq!(fs::read(usr.join("bin/mote")).unwrap(), fs::read(MOTE).unwrap());
    for (shell, place) in [
        ("bash", "share/bash-completion/completions/mote"),
        ("zsh", "share/zsh/site-functions/_mote"),
        ("fish", "share/fish/vendor_completions.d/mote.fish"),
    ] {
        assert_eq!(fs::read_to_string(usr.join(place)).unwrap(), mote(&["completion", shell]));
    }
    let installed = files(&usr);
    for file in &installed {
        let mode = fs::metadata(usr.join(file)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if file == "bin/mote" { 0o755 } else { 0o644 }, "{file}");
    }
    let pages = installed.iter().filter(|file| file.starts_with("share/man/man1/mote"));
    assert_eq!(pages.count(), crate::help::all().len());

    let others = ["bin/crun", "share/man/man1/mote-other.1", "share/zsh/site-functions/_crun"];
    for other in others {
        fs::write(usr.join(other), ".TH MOTE-OTHER 1 2026-01-01 other\n").unwrap();
    }
    // Without the binary, and twice: the second time there is nothing to remove.
    for _ in 0..2 {
        let output = install("/nowhere/mote", &[&words[..], &["--uninstall"]].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(files(&usr), others);
    }
}

#[test]
fn invalid_calls_are_rejected() {
    let scratch = Scratch::new("invalid_calls_are_rejected");
    let destination = format!("--destdir={}", scratch.0.display());
    for (mote, words, code, word) in [
        ("/nowhere/mote", &[][..], 1, "/nowhere/mote is missing: run scripts/build --tiny"),
        (MOTE, &["--prefix", "usr"], 1, "not an absolute path"),
        (MOTE, &["--prefix"], 64, "usage: "),
        (MOTE, &["--moon"], 64, "usage: "),
    ] {
        let output = install(mote, &[&[destination.as_str()][..], words].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
        assert!(errors.contains(word) && errors.lines().count() == 1, "{words:?}: {errors}");
    }
    assert_eq!(files(&scratch.0), [""; 0]);
}
