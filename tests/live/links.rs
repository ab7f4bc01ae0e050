//! mote built with other linkers and C libraries: the process of the container executes from a memfd, whatever segments the program has from which it was cloned (src/sys/self_exe.rs).

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::{Outcome, fail, same, skip_allowed};
use crate::command::run;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "links",
    alone: true,
    cargo_build,
    static_pie_with_relro,
    static_glibc,
    static_pie_glibc,
    dynamic_pie_with_relro,
    dynamic_at_fixed_addresses,
    gaps_between_segments,
    pages_of_segments_are_shared,
];

/// The live tests that each of the programs must pass: `run`, `create`, `start`, `exec`, `delete`, and what a container
/// sees of the runtime.
const TESTS_TO_PASS: &[&str] = &[
    "commands::create_start_kill_delete",
    "exec::arguments",
    "exec::exit_code_of_a_missing_program",
    "exec::into_a_created_container",
    "cve::cve_2019_5736_",
    "cve::cve_2022_0847_pages_of_the_runtime",
];

const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// The debug build, as Cargo has linked it for this suite.
fn cargo_build(rig: &mut Rig) -> Outcome {
    toolchain(rig, "musl")?;
    passes(rig, Path::new(env!("CARGO_BIN_EXE_mote")))
}

fn static_pie_with_relro(rig: &mut Rig) -> Outcome {
    passes(rig, &program(rig, "musl", &["-Clink-arg=-Wl,-z,relro,-z,now"])?)
}

fn static_glibc(rig: &mut Rig) -> Outcome {
    static_library(rig)?;
    passes(rig, &program(rig, "gnu", &["-Ctarget-feature=+crt-static", "-Crelocation-model=static"])?)
}

fn static_pie_glibc(rig: &mut Rig) -> Outcome {
    static_library(rig)?;
    passes(rig, &program(rig, "gnu", &["-Ctarget-feature=+crt-static"])?)
}

/// The default of compilers.
fn dynamic_pie_with_relro(rig: &mut Rig) -> Outcome {
    passes(rig, &program(rig, "gnu", &[])?)
}

fn dynamic_at_fixed_addresses(rig: &mut Rig) -> Outcome {
    passes(rig, &program(rig, "gnu", &["-Crelocation-model=static"])?)
}

fn gaps_between_segments(rig: &mut Rig) -> Outcome {
    passes(rig, &program(rig, "gnu", &["-Clink-arg=-Wl,-z,max-page-size=0x200000"])?)
}

/// Each segment begins on the page of the file on which the previous one ends.
fn pages_of_segments_are_shared(rig: &mut Rig) -> Outcome {
    let words = ["-Crelocation-model=static", "-Clink-arg=-Wl,-z,noseparate-code,-z,relro,-z,now"];
    passes(rig, &program(rig, "gnu", &words)?)
}

/// Runs some tests of this suite with another program.
fn passes(rig: &Rig, program: &Path) -> Outcome {
    let mut suite = Command::new("/proc/self/exe");
    suite.arg0("live").args(TESTS_TO_PASS).env("MOTE", program).env("TMPDIR", &rig.dir).env("JOBS", "2");
    let output = run(&mut suite, "")?;
    let failed: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    same("failed tests", failed.join("; ").as_str(), "")?;
    same("exit code", output.code(), 0)?;
    let tested = |name: &&str| {
        output.stdout.lines().any(|line| line.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(name)))
    };
    same("a test that did not run", TESTS_TO_PASS.iter().copied().find(|name| !tested(name)), None)
}

/// Builds mote for this processor, with glibc or musl, and with these arguments for the compiler.
fn program(rig: &Rig, library: &str, words: &[&str]) -> Outcome<PathBuf> {
    let (cargo, target) = toolchain(rig, library)?;
    let mut command = cargo_command(&cargo);
    command.args(["rustc", "--bin", "mote", "--target", &target, "--"]).args(words);
    build(&mut command)?;
    // Other programs are built to the same path.
    let (built, own) = (format!("{HOME}/target/links/{target}/debug/mote"), rig.dir.join("mote"));
    fs::copy(built, &own)?;
    Ok(own)
}

/// Cargo, as it has built this suite, and the name of the target.
fn toolchain(rig: &Rig, library: &str) -> Outcome<(PathBuf, String)> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("only mote is built here");
    }
    let cargo = PathBuf::from(env!("CARGO"));
    let target = format!("{}-unknown-linux-{library}", std::env::consts::ARCH);
    let installed = cargo.parent().and_then(Path::parent).map(|root| root.join("lib/rustlib").join(&target));
    match cargo.exists() && Path::new(HOME).exists() && installed.is_some_and(|path| path.exists()) {
        true => Ok((cargo, target)),
        false => skip_allowed(format_args!("no compiler here for {target}")),
    }
}

/// Cargo without the compiler flags of .cargo/config.toml and of the environment.
fn cargo_command(cargo: &Path) -> Command {
    let mut command = Command::new(cargo);
    command.current_dir(HOME).env("RUSTC", cargo.with_file_name("rustc"));
    command.env("RUSTFLAGS", "").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", "target/links").env("CARGO_NET_OFFLINE", "true");
    command
}

/// Runs a command of the build. Not by `run`, as compiling takes longer than its time limit.
fn build(command: &mut Command) -> Outcome {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => fail(format_args!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn static_library(rig: &Rig) -> Outcome {
    toolchain(rig, "gnu")?;
    let output = Command::new("cc").arg("-print-file-name=libc.a").output()?;
    match output.stdout.starts_with(b"/") {
        true => Ok(()),
        false => skip_allowed("no static glibc"),
    }
}
