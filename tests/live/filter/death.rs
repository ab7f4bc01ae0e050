//! Filters that stop the container's process before its program: told by how it died, by whoever waits for the program.

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
    ends_where_no_call_is_allowed_to,
    ends_at_start_where_no_call_is_allowed_to,
    program_that_is_killed_at_once_was_run,
    program_that_ends_at_once_was_started,
];

/// What this does to execve is not known before.
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

/// `create` and `start` by somebody who does not wait for the container's process: it stays as a zombie.
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
    // Its filter is in the configuration that mote keeps.
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

/// Neither execve nor any call that ends a process, nor that which says why.
fn dumb() -> Json {
    profile(vec![at_execve("SCMP_ACT_ERRNO"), rule("SCMP_ACT_ERRNO", &["exit", "exit_group", "sendto"])])
}

fn ends_where_no_call_is_allowed_to(rig: &mut Rig) -> Outcome {
    let endless = profile(vec![at_execve("SCMP_ACT_ERRNO"), rule("SCMP_ACT_ERRNO", &["exit", "exit_group"])]);
    rig.rejected(&filtered(rig, true, endless)?, &["process.args[0]: exec", "operation not permitted"])?;
    rig.rejected(&filtered(rig, true, dumb())?, &["the container's process died", "killed by SIGILL"])?;
    // In a pid namespace or not.
    let mut bundle = filtered(rig, true, dumb())?;
    bundle.without_namespace("pid");
    rig.rejected(&bundle, &["the container's process died", "killed by SIGILL"])
}

fn ends_at_start_where_no_call_is_allowed_to(rig: &mut Rig) -> Outcome {
    let bundle = filtered(rig, true, dumb())?;
    let output = created_and_started(rig, &bundle)?;
    output.report().is("start", "1")?;
    contains("the error", &output.stderr, "its process died before its program ran: killed by SIGILL")?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    rig.nothing_left()
}

/// That is its own death, and not mote's to tell.
fn program_that_is_killed_at_once_was_run(rig: &mut Rig) -> Outcome {
    // A call that is newer than all that are named would only fail.
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

fn program_that_ends_at_once_was_started(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    for verbs in [["exit", "0"], ["exit", "7"], ["kill", "9"]] {
        bundle.verbs(&verbs);
        let output = created_and_started(rig, &bundle)?;
        output.report().is("start", "0")?;
        holds("nothing is said", output.stderr.is_empty())?;
        rig.delete()?;
    }
    Ok(())
}
