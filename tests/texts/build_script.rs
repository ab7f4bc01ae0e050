//! build.rs, compiled as cargo compiles it: the target that cargo builds for by default, and the commit that is printed.

use crate::scratch::Scratch;
use std::path::Path;
use std::process::Command;

/// Whether the script of a package in `root` succeeds, and what it prints, on a machine, where cargo has set `variables`.
fn run(root: &Path, host: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let (source, program) = (concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs"), root.join("build-script"));
    let compiler = std::env::var("RUSTC").unwrap_or("rustc".into());
    let mut rustc = Command::new(compiler);
    rustc
        .args(["--edition=2024", "-Ccodegen-units=1", source, "-o"])
        .arg(&program)
        .env("CARGO_MANIFEST_DIR", root);
    assert!(rustc.status().unwrap().success());
    let mut script = Command::new(program);
    script.env_remove("MOTE_COMMIT").env_remove("RUSTC_LINKER").env("HOST", host);
    let output =
        script.env("TARGET", "x86_64-unknown-linux-musl").envs(variables.iter().copied()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn default_target_is_an_error_on_another_machine() {
    let scratch = Scratch::new("build-script-target");
    let (succeeded, text) = run(&scratch.0, "aarch64-unknown-linux-gnu", &[]);
    assert!(!succeeded && text.contains("CARGO_BUILD_TARGET=aarch64-unknown-linux-musl"), "{text}");
    let (_, text) = run(&scratch.0, "armv7-unknown-linux-gnueabihf", &[]);
    assert!(text.contains("CARGO_BUILD_TARGET=armv7-unknown-linux-musleabihf"), "{text}");
    let linker = [("RUSTC_LINKER", "rust-lld")];
    assert!(run(&scratch.0, "aarch64-unknown-linux-gnu", &linker).0);
    assert!(run(&scratch.0, "x86_64-unknown-linux-gnu", &[]).0);
}

#[test]
fn commit_is_that_of_the_checkout_or_of_the_variable() {
    let scratch = Scratch::new("build-script-commit");
    let (outer, package) = (scratch.0.as_path(), scratch.0.join("vendor/mote"));
    std::fs::create_dir_all(&package).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C")
            .arg(outer)
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let commit_of = |root: &Path, variables: &[(&str, &str)]| {
        let (succeeded, text) = run(root, "x86_64-unknown-linux-gnu", variables);
        let commit = text
            .lines()
            .find_map(|line| line.strip_prefix("cargo::rustc-env=MOTE_COMMIT=").map(str::to_owned));
        assert!(succeeded, "{text}");
        (commit.unwrap(), text)
    };
    git(&["init", "-q"]);
    assert_eq!(commit_of(outer, &[]).0, "unknown");
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    let (commit, text) = commit_of(outer, &[]);
    assert_eq!(commit, git(&["rev-parse", "HEAD"]));
    assert!(text.contains("cargo::rerun-if-changed=") && text.contains(".git/logs/HEAD"), "{text}");
    assert_eq!(commit_of(outer, &[("MOTE_COMMIT", "of an archive")]).0, "of an archive");
    // The commit of the repository that has mote in a directory is none of mote.
    assert_eq!(commit_of(&package, &[]).0, "unknown");
}
