//! Exit in the foreground and detached: exit codes, orphans, the PID file.

use std::fs;

use crate::check::{Outcome, contains, holds, same};
use crate::command::LIMIT;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "process",
    exit_code_is_that_of_the_program,
    exit_code_of_a_signal_is_128_plus_signal,
    exit_code_of_a_signal_from_outside_is_128_plus_signal,
    foreground_leaves_no_state,
    keep_leaves_a_stopped_container,
    detached_container_keeps_running,
    pid_file_contains_only_the_pid,
    pid_file_of_a_foreground_run,
    pid_file_that_cannot_be_written_is_rejected,
    orphans_are_reaped,
    children_do_not_outlive_the_init,
];

fn exit_code_is_that_of_the_program(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for code in ["0", "1", "3", "64", "127", "255"] {
        bundle.verbs(&["exit", code]);
        let output = rig.run(&bundle, &[])?;
        same("exit code", output.code().to_string().as_str(), code)?;
        same("the standard error", output.stderr.as_str(), "")?;
    }
    Ok(())
}

/// Without a pid namespace, as the init of one does not receive its own signals.
fn exit_code_of_a_signal_is_128_plus_signal(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGUSR2, libc::SIGALRM, libc::SIGRTMAX()] {
        bundle.verbs(&["kill", &signal.to_string()]);
        let output = rig.run(&bundle, &[])?;
        same("exit code", output.code(), 128 + signal)?;
    }
    Ok(())
}

fn exit_code_of_a_signal_from_outside_is_128_plus_signal(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?;
    sys::kill(rig.pid()?, libc::SIGKILL)?;
    same("exit code", running.finish()?.code(), 137)
}

fn foreground_leaves_no_state(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["exit", "5"]);
    same("exit code", rig.run(&bundle, &[])?.code(), 5)?;
    rig.nothing_left()
}

fn keep_leaves_a_stopped_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["exit", "5"]);
    same("exit code", rig.run(&bundle, &["--keep"])?.code(), 5)?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn detached_container_keeps_running(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "here", "wait", "1"]);
    let mut running = rig.spawn(&bundle, &["--detach"])?;
    same("exit code", running.status()?.0.code(), Some(0))?;
    running.lines.until("waiting=1")?;
    rig.status_is("running")?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    contains("the output", &running.lines.all()?, "signal=10")?;
    rig.delete()
}

/// containerd's shim expects digits and nothing else.
fn pid_file_contains_only_the_pid(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let path = rig.dir.join("pid");
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &["--pid-file", &path.display().to_string()])?;
    same("the pid file", fs::read_to_string(&path)?, rig.pid()?.to_string())?;
    rig.delete()
}

fn pid_file_of_a_foreground_run(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let path = rig.dir.join("pid");
    bundle.verbs(&["wait", "1"]);
    let mut running = rig.spawn(&bundle, &["--pid-file", &path.display().to_string()])?;
    running.lines.until("waiting=1")?;
    same("the pid file", fs::read_to_string(&path)?, rig.pid()?.to_string())?;
    running.signal(libc::SIGTERM)?;
    running.finish()?.success()?;
    Ok(())
}

fn pid_file_that_cannot_be_written_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let path = rig.dir.join("nothing/pid").display().to_string();
    let output = rig.run(&bundle, &["--detach", "--pid-file", &path])?;
    rig.failure(&output, &["nothing/pid"])?;
    rig.nothing_left()
}

/// Without a pid namespace, orphans become children of the runtime in the foreground, which must reap them.
fn orphans_are_reaped(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    rig.report(&mut bundle, &["orphan"])?.is("orphan", "reaped")
}

fn children_do_not_outlive_the_init(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fork", "3", "say", "ready", "line"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("say=ready")?;
    let init = sys::pidfd(rig.pid()?)?;
    running.write("go\n")?;
    let output = running.finish()?;
    same("exit code", output.code(), 0)?;
    holds("the init has exited", sys::readable(&init, LIMIT)?)?;
    rig.nothing_left()
}
