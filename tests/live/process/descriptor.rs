//! Open files: what the container gets is the standard three, and what is asked for.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same};
use crate::command;
use crate::facts::Facts;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "process",
    descriptors_are_three,
    descriptors_of_the_caller_stay_out,
    descriptors_to_preserve,
    descriptors_to_listen_on,
    descriptors_of_create_are_three,
    standard_input_is_passed,
    standard_output_and_error_are_two,
    standard_output_belongs_to_the_user,
];

fn descriptors_are_three(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    rig.facts(&mut bundle, &["fds"])?.is("fds", "0 1 2")
}

/// Leaves a file open at these numbers in the command.
fn leak(command: &mut Command, numbers: &'static [i32]) -> Outcome {
    let file = File::open("/proc/self/status")?;
    sys::before_exec(command, move || {
        numbers.iter().try_for_each(|number| sys::duplicate_to(file.as_raw_fd(), *number))
    });
    Ok(())
}

fn with_leaks(rig: &Rig, bundle: &Bundle, options: &[&str]) -> Outcome<Facts> {
    let mut command = rig.launch("run", bundle, options)?;
    leak(&mut command, &[3, 4, 5, 17, 300])?;
    Ok(command::run(&mut command, "")?.good()?.facts())
}

fn descriptors_of_the_caller_stay_out(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    with_leaks(rig, &bundle, &[])?.is("fds", "0 1 2")
}

/// Those that a service manager has passed: LISTEN_FDS of them from 3 on (sd_listen_fds(3)).
fn descriptors_to_listen_on(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds", "env"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    command.env("LISTEN_FDS", "2").env("LISTEN_PID", "77");
    leak(&mut command, &[3, 4, 5])?;
    let output = command::run(&mut command, "")?.good()?;
    let inside = output.facts();
    inside.is("fds", "0 1 2 3 4")?;
    inside.is("env:LISTEN_FDS", "2")?;
    inside.is("env:LISTEN_PID", "1")
}

fn descriptors_to_preserve(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let inside = with_leaks(rig, &bundle, &["--preserve-fds", "2"])?;
    inside.is("fds", "0 1 2 3 4")?;
    contains("the file", inside.get("fd:4"), "/status")
}

/// The gate at which a created container waits is closed when the program runs.
fn descriptors_of_create_are_three(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.good()?;
    let said = created.lines.all()?;
    Facts::parse(&said).is("fds", "0 1 2")?;
    rig.delete()
}

fn standard_input_is_passed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["stdin"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    let inside = command::run(&mut command, "some words\nand more")?.good()?.facts();
    inside.is("stdin", "some words\nand more")
}

fn standard_output_and_error_are_two(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "out", "warn", "err"]);
    let output = rig.run(&bundle, &[])?;
    same("the standard output", output.stdout.as_str(), "say=out\n")?;
    same("the standard error", output.stderr.as_str(), "err\n")
}

/// A pipe that root made could not be opened again by name, as programs do with /dev/stdout.
fn standard_output_belongs_to_the_user(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.uid", 1000i64);
    bundle.set("process.user.gid", 1000i64);
    bundle.verbs(&["write", "/dev/stdout"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.close_input();
    let output = running.finish()?.good()?;
    same("the standard output", output.stdout.as_str(), "xwrite:/dev/stdout=ok\n")
}
