//! Hooks that fail, do not end, or are missing: the error has the hook point, the hook's message and its exit status,
//! and nothing is left (runtime.md, "Lifecycle").

use std::time::Instant;

use super::{Hooked, POINTS};
use crate::check::{Outcome, contains, holds, lacks, same};
use crate::command::{self, Output};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "hooks",
    failing_before_the_program_runs,
    failing_of_create,
    failing_of_create_in_a_user_namespace,
    failing_of_start,
    failing_poststart_of_run,
    failing_poststart_of_start,
    failing_poststop,
    failing_poststop_of_delete,
    failing_with_several_lines,
    failing_with_long_output,
    missing,
    missing_poststop,
    not_executable,
    timeout,
    timeout_of_poststart_and_poststop,
    killed_by_a_signal,
];

/// A container with a hook at each point that reports the point; at one of them, a hook before it fails.
fn failing(rig: &Rig, point: &str) -> Outcome<Hooked> {
    let mut hooked = Hooked::new(rig)?;
    hooked.add(point, &["say", "fails", "warn", "this is broken", "exit", "3"]);
    hooked.add_all();
    hooked.bundle.verbs(&["say", "ran"]);
    Ok(hooked)
}

/// Checks the error of the first hook of a point.
fn has_error(rig: &Rig, output: &Output, point: &str) -> Outcome {
    let name = format!("hooks.{point}[0]");
    rig.failure(output, &[&name, "exit code 3", "this is broken"])
}

/// The expected reports: the points before this one, the failure, and poststop.
fn until(point: &str) -> Vec<&str> {
    let before = POINTS.into_iter().take_while(|name| *name != point);
    before.chain(["fails", "poststop"]).collect()
}

fn failing_before_the_program_runs(rig: &mut Rig) -> Outcome {
    for point in &POINTS[..4] {
        let hooked = failing(rig, point)?;
        let output = rig.run(&hooked.bundle, &[])?;
        has_error(rig, &output, point)?;
        same("the output of the program", output.stdout.as_str(), "")?;
        rig.nothing_left()?;
        hooked.reported(&until(point))?;
    }
    Ok(())
}

fn create_fails(rig: &Rig, hooked: &Hooked, point: &str) -> Outcome {
    let pid = rig.dir.join("pid");
    let options = ["--pid-file", &pid.display().to_string()];
    let output = command::run(&mut rig.launch("create", &hooked.bundle, &options)?, "")?;
    has_error(rig, &output, point)?;
    holds("no pid file", !pid.exists())?;
    rig.nothing_left()?;
    hooked.reported(&until(point))
}

fn failing_of_create(rig: &mut Rig) -> Outcome {
    for point in &POINTS[..3] {
        create_fails(rig, &failing(rig, point)?, point)?;
    }
    Ok(())
}

fn failing_of_create_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    for point in &POINTS[..3] {
        let mut hooked = failing(rig, point)?;
        hooked.bundle.user_namespace(100_000);
        create_fails(rig, &hooked, point)?;
    }
    Ok(())
}

/// "The runtime MUST generate an error, stop the container, and continue the lifecycle at step 12", which is the
/// deletion of the container and poststop (runtime.md, "Lifecycle").
fn failing_of_start(rig: &mut Rig) -> Outcome {
    let hooked = failing(rig, "startContainer")?;
    let created = rig.create(&hooked.bundle, &[])?;
    let output = rig.mote(&["start", &rig.id])?;
    has_error(rig, &output, "startContainer")?;
    drop(created);
    rig.nothing_left()?;
    hooked.reported(&until("startContainer"))
}

fn failing_poststart_of_run(rig: &mut Rig) -> Outcome {
    for options in [&[][..], &["--detach"]] {
        let mut hooked = failing(rig, "poststart")?;
        hooked.bundle.verbs(&["wait", "1"]);
        let output = rig.run(&hooked.bundle, options)?;
        has_error(rig, &output, "poststart")?;
        rig.nothing_left()?;
        hooked.reported(&until("poststart"))?;
    }
    Ok(())
}

fn failing_poststart_of_start(rig: &mut Rig) -> Outcome {
    let mut hooked = failing(rig, "poststart")?;
    hooked.bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&hooked.bundle, &[])?;
    let output = rig.mote(&["start", &rig.id])?;
    has_error(rig, &output, "poststart")?;
    rig.nothing_left()?;
    hooked.reported(&until("poststart"))
}

/// A warning: all hooks run, and the exit code is that of the program.
fn failing_poststop(rig: &mut Rig) -> Outcome {
    let mut hooked = failing(rig, "poststop")?;
    hooked.bundle.verbs(&["exit", "7"]);
    let output = rig.run(&hooked.bundle, &[])?;
    same("exit code", output.code(), 7)?;
    contains("the warning", &output.stderr, "hooks.poststop[0]")?;
    contains("the warning", &output.stderr, "this is broken")?;
    same("lines", output.stderr.lines().count(), 1)?;
    rig.nothing_left()?;
    let reports: Vec<&str> = POINTS[..5].iter().copied().chain(["fails", "poststop"]).collect();
    hooked.reported(&reports)
}

fn failing_poststop_of_delete(rig: &mut Rig) -> Outcome {
    let mut hooked = failing(rig, "poststop")?;
    hooked.bundle.verbs(&["wait", "1"]);
    rig.run(&hooked.bundle, &["--detach"])?.success()?;
    let output = rig.mote(&["delete", "--force", &rig.id])?;
    same("exit code", output.code(), 0)?;
    contains("the warning", &output.stderr, "hooks.poststop[0]")?;
    rig.nothing_left()?;
    let reports: Vec<&str> = POINTS[..5].iter().copied().chain(["fails", "poststop"]).collect();
    hooked.reported(&reports)
}

/// The error is one line of limited length.
fn failing_with_several_lines(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("createRuntime", &["warn", "\n  one\ttwo\r\n\nthree", "exit", "1"]);
    let output = rig.run(&hooked.bundle, &[])?;
    rig.failure(&output, &["exit code 1: one\\ttwo; three\n"])?;
    rig.nothing_left()
}

fn failing_with_long_output(rig: &mut Rig) -> Outcome {
    for point in ["createRuntime", "createContainer"] {
        let mut hooked = Hooked::new(rig)?;
        let words = format!("begins\n{}", "and so on\u{1b}[2J ".repeat(1000));
        hooked.add(point, &["warn", &words, "exit", "255"]);
        hooked.bundle.verbs(&["say", "ran"]);
        let output = rig.run(&hooked.bundle, &[])?;
        rig.failure(&output, &["begins", "exit code 255"])?;
        holds("the error is short", output.stderr.len() < 1000)?;
        lacks("control characters in the error", &output.stderr, "\u{1b}")?;
    }
    rig.nothing_left()
}

fn missing(rig: &mut Rig) -> Outcome {
    for point in &POINTS[..5] {
        let mut hooked = Hooked::new(rig)?;
        hooked.bundle.set(&format!("hooks.{point}[+]"), json!({"path": "/none/at all"}));
        hooked.add("poststop", &["say", "poststop"]);
        hooked.bundle.verbs(&["wait", "1"]);
        let output = rig.run(&hooked.bundle, &[])?;
        rig.failure(&output, &[&format!("hooks.{point}[0]"), "/none/at all", "no such file or directory"])?;
        rig.nothing_left()?;
        hooked.reported(&["poststop"])?;
    }
    Ok(())
}

fn missing_poststop(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.bundle.set("hooks.poststop[+]", json!({"path": "/none/at all"}));
    hooked.add("poststop", &["say", "poststop"]);
    hooked.bundle.verbs(&["exit", "7"]);
    let output = rig.run(&hooked.bundle, &[])?;
    same("exit code", output.code(), 7)?;
    contains("the warning", &output.stderr, "hooks.poststop[0]")?;
    hooked.reported(&["poststop"])
}

fn not_executable(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let path = rig.dir.join("hook");
    std::fs::write(&path, "text")?;
    let path = path.display().to_string();
    hooked.bundle.set("hooks.prestart[+]", json!({"path": (path.as_str())}));
    hooked.bundle.verbs(&["say", "ran"]);
    rig.rejected(&hooked.bundle, &["hooks.prestart[0]", &path, "permission denied"])
}

/// Killed at its timeout.
fn timeout(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    let mut hook = hooked.hook("prestart", &["say", "hangs", "warn", "still here", "wait", "1"]);
    hook.set("timeout", 1i64);
    hooked.bundle.set("hooks.prestart[+]", hook);
    hooked.bundle.verbs(&["say", "ran"]);
    let start = Instant::now();
    let output = rig.run(&hooked.bundle, &[])?;
    holds("the timeout has passed", start.elapsed().as_secs_f64() >= 1.0)?;
    rig.failure(&output, &["hooks.prestart[0]", "timeout", "1 s", "still here"])?;
    rig.nothing_left()?;
    hooked.reported(&["hangs"])
}

fn timeout_of_poststart_and_poststop(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    for point in ["poststart", "poststop"] {
        let mut hook = hooked.hook(point, &["say", point, "wait", "1"]);
        hook.set("timeout", 1i64);
        hooked.bundle.set(&format!("hooks.{point}[+]"), hook);
    }
    hooked.bundle.verbs(&["wait", "1"]);
    let output = rig.run(&hooked.bundle, &["--detach"])?;
    same("exit code", output.code(), 1)?;
    contains("the error", &output.stderr, "hooks.poststart[0]")?;
    contains("the warning", &output.stderr, "hooks.poststop[0]")?;
    rig.nothing_left()?;
    hooked.reported(&["poststart", "poststop"])
}

fn killed_by_a_signal(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.add("createRuntime", &["kill", "9"]);
    hooked.bundle.verbs(&["say", "ran"]);
    rig.rejected(&hooked.bundle, &["hooks.createRuntime[0]", "hook was killed by SIGKILL"])
}
