//! File descriptors: the container has the three standard ones, and those that are requested.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "process",
    descriptors_are_three,
    descriptors_of_the_caller_are_closed,
    descriptors_of_preserve_fds_are_passed,
    descriptors_that_are_not_open_are_rejected,
    descriptors_of_listen_fds_are_passed,
    descriptors_of_another_listen_pid_are_closed,
    descriptors_of_create_are_three,
    standard_input_is_inherited,
    standard_output_and_error_are_separate,
    standard_output_belongs_to_the_user,
];

fn descriptors_are_three(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    rig.report(&mut bundle, &["fds"])?.is("fds", "0 1 2")
}

/// Leaves a file open at these file descriptors in the command.
pub fn leak(command: &mut Command, numbers: &'static [i32]) -> Outcome {
    let file = File::open("/proc/self/status")?;
    sys::before_exec(command, move || {
        numbers.iter().try_for_each(|number| sys::duplicate_to(file.as_raw_fd(), *number))
    });
    Ok(())
}

fn with_leaks(rig: &Rig, bundle: &Bundle, options: &[&str]) -> Outcome<Report> {
    let mut command = rig.launch("run", bundle, options)?;
    leak(&mut command, &[3, 4, 5, 17, 300])?;
    Ok(command::run(&mut command, "")?.success()?.report())
}

fn descriptors_of_the_caller_are_closed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    with_leaks(rig, &bundle, &[])?.is("fds", "0 1 2")
}

/// The file descriptors that a service manager passes: LISTEN_FDS of them from 3 on (sd_listen_fds(3)).
fn descriptors_of_listen_fds_are_passed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds", "env"]);
    let mut command = listening(rig, &bundle, 2)?;
    leak(&mut command, &[3, 4, 5])?;
    let output = command::run(&mut command, "")?.success()?;
    let inside = output.report();
    inside.is("fds", "0 1 2 3 4")?;
    inside.is("env:LISTEN_FDS", "2")?;
    inside.is("env:LISTEN_PID", "1")
}

/// `run` by a process whose PID is LISTEN_PID, as systemd sets it.
fn listening(rig: &Rig, bundle: &Bundle, count: u32) -> Outcome<Command> {
    let run = rig.launch("run", bundle, &[])?;
    let mut command = Command::new("sh");
    command.arg("-c").arg("LISTEN_PID=$$ exec \"$@\"").arg("sh");
    command.arg(run.get_program()).args(run.get_args());
    command.env("MOTE_LIVE", &rig.marker).env("LISTEN_FDS", count.to_string());
    rig.prepare(&mut command);
    Ok(command)
}

/// The variables were inherited from another service, whose PID LISTEN_PID is.
fn descriptors_of_another_listen_pid_are_closed(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun ignores LISTEN_PID");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds", "env"]);
    for pid in [Some("77"), Some("1"), None] {
        let mut command = rig.launch("run", &bundle, &[])?;
        command.env("LISTEN_FDS", "2");
        pid.map(|pid| command.env("LISTEN_PID", pid));
        leak(&mut command, &[3, 4, 5])?;
        let inside = command::run(&mut command, "")?.success()?.report();
        inside.is("fds", "0 1 2")?;
        same("LISTEN_FDS", inside.all("env:LISTEN_FDS").len(), 0)?;
    }
    Ok(())
}

/// Otherwise the number would be that of a file of mote.
fn descriptors_that_are_not_open_are_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let log = rig.dir.join("log").display().to_string();
    for (globals, open, option, missing) in [
        (&[][..], &[][..], "1", "descriptor 3"),
        (&[], &[3, 5], "3", "descriptor 4"),
        // The first file that mote opens is its log.
        (&["--log", &log], &[], "1", "descriptor 3"),
    ] {
        rig.globals = globals.iter().map(|word: &&str| (*word).to_string()).collect();
        let mut command = rig.launch("run", &bundle, &["--preserve-fds", option])?;
        leak(&mut command, open)?;
        rig.failure(&command::run(&mut command, "")?, &["--preserve-fds", missing, "is not open"])?;
        rig.nothing_left()?;
    }
    rig.globals.clear();
    let mut command = listening(rig, &bundle, 2)?;
    leak(&mut command, &[3])?;
    rig.failure(&command::run(&mut command, "")?, &["LISTEN_FDS 2: file descriptor 4 is not open"])?;
    rig.nothing_left()
}

fn descriptors_of_preserve_fds_are_passed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let inside = with_leaks(rig, &bundle, &["--preserve-fds", "2"])?;
    inside.is("fds", "0 1 2 3 4")?;
    contains("the file", inside.get("fd:4"), "/status")
}

/// The start socket of a created container is closed at execve.
fn descriptors_of_create_are_three(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    let output = created.lines.all()?;
    Report::parse(&output).is("fds", "0 1 2")?;
    rig.delete()
}

fn standard_input_is_inherited(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["stdin"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    let inside = command::run(&mut command, "some words\nand more")?.success()?.report();
    inside.is("stdin", "some words\nand more")
}

fn standard_output_and_error_are_separate(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "out", "warn", "err"]);
    let output = rig.run(&bundle, &[])?;
    same("the standard output", output.stdout.as_str(), "say=out\n")?;
    same("the standard error", output.stderr.as_str(), "err\n")
}

/// A pipe created by root could not be reopened by name, as programs do with /dev/stdout.
fn standard_output_belongs_to_the_user(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.uid", 1000i64);
    bundle.set("process.user.gid", 1000i64);
    bundle.verbs(&["write", "/dev/stdout"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.close_input();
    let output = running.finish()?.success()?;
    same("the standard output", output.stdout.as_str(), "xwrite:/dev/stdout=ok\n")
}
