//! The library in other programs: in Rust, C and Python. They are built with the program under test inside.

pub mod c;
pub mod python;
pub mod rust;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, same, skip_allowed};
use crate::command::{Output, run};
use crate::rig::{Rig, Runtime};

const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// Cargo, as it has built this suite.
fn cargo(rig: &Rig) -> Outcome<PathBuf> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("only mote is built here");
    }
    let cargo = PathBuf::from(env!("CARGO"));
    match cargo.exists() && Path::new(HOME).exists() {
        true => Ok(cargo),
        false => skip_allowed("no compiler here"),
    }
}

/// Runs a command of the build. Not by `run`, as compiling takes longer than its time limit.
fn build(command: &mut Command) -> Outcome {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => fail(format_args!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Builds the library for C, once; returns its directory.
fn library(rig: &Rig) -> Outcome<PathBuf> {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let (cargo, directory) = (cargo(rig)?, Path::new(HOME).join("target/library"));
    let Ok(mut built) = BUILT.lock() else { return fail("the library could not be built") };
    if *built {
        return Ok(directory);
    }
    let mut command = Command::new(Path::new(HOME).join("scripts/build"));
    let path = std::env::var("PATH").unwrap_or_default();
    let above = cargo.parent().unwrap_or(Path::new("/"));
    command.arg("--library").env("PATH", format!("{}:{path}", above.display()));
    build(command.env("MOTE", &rig.suite.runtime))?;
    *built = true;
    Ok(directory)
}

/// The blocks of code in a language that a page has, with the paths of this test.
fn blocks(rig: &Rig, page: &str, language: &str, bundle: &Bundle) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(Path::new(HOME).join(page))?;
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1).filter_map(|rest| rest.split("```").next());
    let (root, bundle) = (rig.state.display().to_string(), bundle.dir.display().to_string());
    Ok(blocks.map(|block| block.replace("/run/mine", &root).replace("/path/to/bundle", &bundle)).collect())
}

/// A bundle with busybox, whose program is a line for the shell.
fn shell(rig: &Rig, line: &str) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];
    let Some(busybox) = busybox.into_iter().find(|path| Path::new(path).exists()) else {
        return crate::check::skip("no static busybox");
    };
    fs::create_dir_all(bundle.host_path("bin"))?;
    fs::copy(busybox, bundle.host_path("bin/busybox"))?;
    bundle.set("process.args", vec!["/bin/busybox", "sh", "-c", line]);
    // Each container has one of its own.
    bundle.remove("linux.cgroupsPath");
    bundle.write()?;
    Ok(bundle)
}

/// Runs a program of this test on the host, and checks its exit code and standard error.
fn succeeds(rig: &Rig, command: &mut Command, code: i32) -> Outcome<Output> {
    rig.prepare(command);
    let output = run(command.env("MOTE_LIVE", &rig.marker), "")?;
    same("exit code and errors", (output.code(), output.stderr.as_str()), (code, ""))?;
    Ok(output)
}
