//! The program in tests/library: with glibc and musl, with unwinding, threads, an allocator that is watched, and tokio.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOME, build, cargo, succeeds};
use crate::check::{Outcome, holds, skip_allowed};
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
    holds("nothing is printed", output.stdout.is_empty())?;
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
