//! Filters that kill the container's process before its program runs: the error of the waiting command has the cause.

use super::{KILLS, filtered, only_mote, profile, rule};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same};
use crate::command::{Output, run};
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::tests;

tests![
    "filter",
    killed_at_execve_of_run,
    killed_at_execve_of_start,
    killed_at_execve_of_exec,
    process_exits_if_exit_is_denied,
    process_exits_during_start_if_exit_is_denied,
    program_killed_immediately_was_started,
    program_that_exits_immediately_was_started,
];

/// A rule for execve with a condition that cannot be evaluated in advance.
fn at_execve(action: &str) -> Json {
    let mut one = rule(action, &["execve"]);
    one.set("args", json!([{"index": 0i64, "value": 0i64, "op": "SCMP_CMP_NE"}]));
    one
}

fn killed_at_execve_of_run(rig: &mut Rig) -> Outcome {
    for action in KILLS {
        for no_new_privileges in [false, true] {
            let bundle = filtered(rig, no_new_privileges, profile(vec![at_execve(action)]))?;
            for options in [&[][..], &["--detach"]] {
                let output = rig.run(&bundle, options)?;
                output.failure(&["the container's process died", "killed by SIGSYS (a seccomp filter)"])?;
                rig.nothing_left()?;
            }
        }
    }
    Ok(())
}

/// Runs `create` and `start` by a parent that does not reap the container's process, which stays a zombie.
fn created_and_started(rig: &Rig, bundle: &Bundle) -> Outcome<Output> {
    bundle.write()?;
    let (mote, state) = (rig.suite.runtime.display(), rig.state.display());
    let (dir, id) = (bundle.dir.display(), &rig.id);
    let script = format!(
        "{mote} --root {state} create --bundle {dir} {id}; echo create=$?; {mote} --root {state} start {id}; echo start=$?"
    );
    let mut command = rig.host(&["adopt", &script]);
    let output = run(command.env("MOTE_LIVE", &rig.marker), "")?;
    output.report().is("create", "0")?;
    Ok(output)
}

fn killed_at_execve_of_start(rig: &mut Rig) -> Outcome {
    for action in KILLS {
        for no_new_privileges in [false, true] {
            let bundle = filtered(rig, no_new_privileges, profile(vec![at_execve(action)]))?;
            let output = created_and_started(rig, &bundle)?;
            output.report().is("start", "1")?;
            let words = "its process died before its program ran: killed by SIGSYS (a seccomp filter)\n";
            same("the error", output.stderr, format!("mote: container \"{}\": {words}", rig.id))?;
            rig.delete()?;
        }
    }
    Ok(())
}

fn killed_at_execve_of_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = filtered(rig, true, profile(Vec::new()))?;
    let _running = rig.waiting(&mut bundle)?;
    // The filter is in the configuration that mote has saved.
    let kept = rig.state.join(&rig.id).join("config.json");
    let mut config = Json::parse(&std::fs::read_to_string(&kept)?)?;
    config.set("linux.seccomp", profile(vec![at_execve("SCMP_ACT_KILL_PROCESS")]));
    std::fs::write(&kept, config.to_string())?;
    for options in [&[][..], &["--detach"], &["--no-new-privs"]] {
        let words = [&["exec"], options, &[rig.id.as_str(), "/payload"]].concat();
        let output = rig.mote(&words)?;
        same("exit code", output.code(), 255)?;
        contains("the error", &output.stderr, "killed by SIGSYS (a seccomp filter)")?;
    }
    rig.delete()
}

/// A profile that denies execve, all calls that end a process, and those that report the error.
fn no_exit_and_no_error() -> Json {
    profile(vec![
        at_execve("SCMP_ACT_ERRNO"),
        rule("SCMP_ACT_ERRNO", &["exit", "exit_group", "send", "sendto"]),
    ])
}

fn process_exits_if_exit_is_denied(rig: &mut Rig) -> Outcome {
    let endless = profile(vec![at_execve("SCMP_ACT_ERRNO"), rule("SCMP_ACT_ERRNO", &["exit", "exit_group"])]);
    rig.rejected(&filtered(rig, true, endless)?, &["process.args[0]: exec", "operation not permitted"])?;
    rig.rejected(
        &filtered(rig, true, no_exit_and_no_error())?,
        &["the container's process died", "killed by SIGILL"],
    )?;
    // In a pid namespace and outside of one.
    let mut bundle = filtered(rig, true, no_exit_and_no_error())?;
    bundle.without_namespace("pid");
    rig.rejected(&bundle, &["the container's process died", "killed by SIGILL"])
}

fn process_exits_during_start_if_exit_is_denied(rig: &mut Rig) -> Outcome {
    let bundle = filtered(rig, true, no_exit_and_no_error())?;
    let output = created_and_started(rig, &bundle)?;
    output.report().is("start", "1")?;
    contains("the error", &output.stderr, "its process died before its program ran: killed by SIGILL")?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    rig.nothing_left()
}

/// A program that is killed later was started successfully.
fn program_killed_immediately_was_started(rig: &mut Rig) -> Outcome {
    // A system call newer than those of the profile would only fail with ENOSYS.
    let allowed = rule("SCMP_ACT_ALLOW", &["execve", "openat2"]);
    let section = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": (Json::List(vec![allowed]))});
    let bundle = filtered(rig, true, section)?;
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 128 + libc::SIGSYS)?;
    same("the standard error", output.stderr.as_str(), "")?;
    rig.run(&bundle, &["--detach"])?.success()?;
    rig.delete()?;
    let output = created_and_started(rig, &bundle)?;
    output.report().is("start", "0")?;
    same("the standard error", output.stderr.as_str(), "")?;
    rig.delete()
}

fn program_that_exits_immediately_was_started(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    for verbs in [["exit", "0"], ["exit", "7"], ["kill", "9"]] {
        bundle.verbs(&verbs);
        let output = created_and_started(rig, &bundle)?;
        output.report().is("start", "0")?;
        holds("no error", output.stderr.is_empty())?;
        rig.delete()?;
    }
    Ok(())
}
