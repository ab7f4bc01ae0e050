//! The program in tests/library: with glibc and musl, with unwinding, threads, an allocator that is watched, and tokio.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOME, blocks, build, cargo, shell, succeeds};
use crate::check::{Outcome, same, skip_allowed};
use crate::rig::Rig;
use crate::tests;

tests![
    "library::rust",
    alone: true,
    no_call_changes_the_process,
    no_call_changes_a_static_process,
    errors_have_kind_and_field,
    threads,
    threads_of_a_static_program,
    tokio,
    exit_statuses,
    documentation_examples,
    examples_of_the_pages,
];

fn no_call_changes_the_process(rig: &mut Rig) -> Outcome {
    test(rig, "unchanged", "gnu")
}

fn no_call_changes_a_static_process(rig: &mut Rig) -> Outcome {
    test(rig, "unchanged", "musl")
}

fn errors_have_kind_and_field(rig: &mut Rig) -> Outcome {
    test(rig, "failures", "gnu")
}

fn threads(rig: &mut Rig) -> Outcome {
    test(rig, "threads", "gnu")
}

fn threads_of_a_static_program(rig: &mut Rig) -> Outcome {
    test(rig, "threads", "musl")
}

fn tokio(rig: &mut Rig) -> Outcome {
    test(rig, "asynchronous", "gnu")
}

fn exit_statuses(rig: &mut Rig) -> Outcome {
    test(rig, "wait", "gnu")
}

/// Those on the first page of the documentation, which are compiled.
fn documentation_examples(rig: &mut Rig) -> Outcome {
    let target = target(rig, "musl")?;
    let mut command = command(rig)?;
    build(command.args(["test", "--doc", "--features", "std,program", "--target", &target]))
}

/// Each is a program, in a package with the dependency that docs/library.md has.
fn examples_of_the_pages(rig: &mut Rig) -> Outcome {
    let target = target(rig, "gnu")?;
    let bundle = shell(rig, "exit 8")?;
    let package = rig.dir.join("page");
    fs::create_dir_all(package.join("src"))?;
    let page = fs::read_to_string(Path::new(HOME).join("docs/library.md"))?;
    let dependency = page.lines().find_map(|line| line.strip_prefix("    mote = { version = \"0.1\", "));
    let path = format!("[dependencies]\nmote = {{ path = \"{HOME}\", {}\n", dependency.unwrap_or_default());
    let name = "[package]\nname = \"page\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), format!("{name}{path}"))?;
    fs::copy(Path::new(HOME).join("Cargo.lock"), package.join("Cargo.lock"))?;
    for page in ["docs/library.md", "README.md"] {
        let found = blocks(rig, page, "rust", &bundle)?;
        same("the number of blocks", found.len(), 1)?;
        let block = found.concat();
        let program = match block.contains("fn main") {
            true => block,
            false => format!("fn main() -> mote::Result<()> {{ {block} Ok(()) }}"),
        };
        fs::write(package.join("src/main.rs"), program)?;
        build(
            command(rig)?
                .current_dir(&package)
                .args(["build", "--target", &target])
                .env("CARGO_TARGET_DIR", "target"),
        )?;
        let mut built = Command::new(package.join("target").join(&target).join("debug/page"));
        let output = succeeds(rig, &mut built, 0)?;
        same("the output", output.stdout.as_str(), "exit code 8\n")?;
        rig.mote(&["delete", "--force", "hello"])?.success()?;
    }
    rig.nothing_left()
}

/// Runs a test of the program.
fn test(rig: &Rig, name: &str, libc: &str) -> Outcome {
    let target = target(rig, libc)?;
    build(command(rig)?.args(["build", "-p", "mote-library-test", "--target", &target]))?;
    let program = Path::new(HOME).join("target/links").join(&target).join("debug/mote-library-test");
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["WORDS"]);
    bundle.set("linux.cgroupsPath", format!("/{}-CONTAINER", rig.cgroup));
    bundle.write()?;
    let mut command = Command::new(program);
    command.arg(name).arg(&bundle.dir).arg(&rig.state).arg(&rig.id);
    let output = succeeds(rig, &mut command, 0)?;
    same("the output", output.stdout.as_str(), "")?;
    rig.nothing_left()
}

/// The target of this processor with a C library.
fn target(rig: &Rig, libc: &str) -> Outcome<String> {
    let cargo = cargo(rig)?;
    let target = format!("{}-unknown-linux-{libc}", std::env::consts::ARCH);
    let installed = cargo.parent().and_then(Path::parent).map(|root| root.join("lib/rustlib").join(&target));
    match installed.is_some_and(|path: PathBuf| path.exists()) {
        true => Ok(target),
        false => skip_allowed(format_args!("no compiler here for {target}")),
    }
}

/// Cargo, with unwinding and without the compiler flags of .cargo/config.toml.
fn command(rig: &Rig) -> Outcome<Command> {
    let cargo = cargo(rig)?;
    let mut command = Command::new(&cargo);
    command.current_dir(HOME).env("RUSTC", cargo.with_file_name("rustc"));
    command
        .env("RUSTFLAGS", "")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_PROFILE_DEV_PANIC", "unwind");
    command.env("CARGO_TARGET_DIR", "target/links").env("CARGO_NET_OFFLINE", "true");
    command.env("MOTE_PROGRAM", &rig.suite.runtime);
    Ok(command)
}
