//! `exec --process FILE`: the members of the file, and the defaults for those that are omitted.

use std::fs;

use super::process::{THREE, sets};
use super::{container, only_mote, program, rejected, report};
use crate::check::{Outcome, contains};
use crate::command::run;
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::tests;

tests!["exec", file_with_all_members, file_with_members_left_out, file_that_is_invalid_is_rejected, cpus,];

/// Runs `exec --process` with this file and these options.
pub fn from_file(rig: &Rig, process: &Json, options: &[&str]) -> Outcome<crate::command::Output> {
    let path = rig.dir.join("process.json");
    fs::write(&path, process.to_string())?;
    let path = path.display().to_string();
    run(&mut program(rig, &[&["--process", path.as_str()], options].concat(), &[]), "")
}

fn file_with_all_members(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let kill = json!(["CAP_KILL"]);
    let sets = json!({
        "bounding": (kill.clone()), "effective": (kill.clone()), "permitted": (kill.clone()),
        "inheritable": (kill.clone()), "ambient": kill
    });
    let process = json!({
        "args": ["/payload", "args", "env", "cwd", "id", "umask", "caps", "nnp", "limits", "oom"],
        "env": ["MINE=1", (format!("MOTE_LIVE={}", rig.marker))],
        "cwd": "/tmp",
        "user": {"uid": 1000i64, "gid": 1001i64, "additionalGids": [7i64], "umask": 23i64},
        "capabilities": sets,
        "noNewPrivileges": true,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100i64, "hard": 200i64}],
        "oomScoreAdj": 300i64
    });
    let inside = from_file(rig, &process, &[])?.success()?.report();
    for (key, value) in [
        ("arg:9", "oom"),
        ("env:MINE", "1"),
        ("env:TERM", "(not reported)"),
        ("cwd", "/tmp"),
        ("uid", "1000 1000 1000"),
        ("gid", "1001 1001 1001"),
        ("groups", "7"),
        ("umask", "0027"),
        ("cap:bounding", "KILL"),
        ("cap:effective", "KILL"),
        ("cap:ambient", "KILL"),
        ("nnp", "1"),
        ("limit:NOFILE", "100 200"),
        ("oom", "300"),
    ] {
        inside.is(key, value)?;
    }
    rig.delete()
}

/// Omitted members are those of the container's configuration.
fn file_with_members_left_out(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "MINE=of the container");
    bundle.set("process.user.umask", 63i64);
    bundle.set("process.oomScoreAdj", 400i64);
    bundle.set("process.rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100i64, "hard": 200i64}]));
    rig.waiting(&mut bundle)?;
    let args = ["/payload", "env", "umask", "caps", "limits", "oom", "cwd", "id"].to_vec();
    let process = json!({"args": args, "cwd": "/tmp", "user": {"uid": 0i64, "gid": 0i64}});
    let inside = from_file(rig, &process, &[])?.success()?.report();
    inside.is("env:MINE", "of the container")?;
    inside.is("umask", "0077")?;
    inside.is("limit:NOFILE", "100 200")?;
    inside.is("oom", "400")?;
    inside.is("cwd", "/tmp")?;
    sets(&inside, THREE, "")?;
    rig.delete()
}

fn file_that_is_invalid_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    rejected(&from_file(rig, &json!({"cwd": "/"}), &[])?, 255, &["args"])?;
    rejected(
        &from_file(rig, &json!({"args": ["/payload"], "cwd": 1i64}), &[])?,
        255,
        &["process.json", "cwd"],
    )?;
    rejected(&from_file(rig, &json!([1i64]), &[])?, 255, &["process.json"])?;
    let output = run(&mut program(rig, &["--process", "/none.json"], &[]), "")?;
    rejected(&output, 255, &["/none.json"])?;
    contains("the error", &output.stderr, "no such file or directory")?;
    rig.delete()
}

/// `execCPUAffinity` of the container applies to exec processes, not to the container init.
fn cpus(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.needs_kernel((6, 2), "CPU affinity that changes of cpusets preserve")?;
    let mut bundle = rig.bundle()?;
    let all = rig.report(&mut bundle, &["cpus"])?.get("cpus").to_string();
    bundle.set("process.execCPUAffinity", json!({"initial": "0", "final": "1"}));
    rig.report(&mut bundle, &["cpus"])?.is("cpus", &all)?;
    rig.waiting(&mut bundle)?;
    report(rig, &[], &["cpus"])?.is("cpus", "1")?;
    for (affinity, seen) in [
        (json!({"final": "0"}), "0"),
        (json!({"initial": "1"}), "1"),
        (json!({"initial": "", "final": ""}), all.as_str()),
        (json!({"initial": "0", "final": "0-1"}), "0-1"),
    ] {
        with_affinity(rig, affinity)?.success()?.report().is("cpus", seen)?;
    }
    for (list, word) in [("0-x", "is not a list"), ("8000", "invalid argument")] {
        let output = with_affinity(rig, json!({"final": list}))?;
        rejected(&output, 255, &["process.execCPUAffinity", word])?;
    }
    rig.delete()
}

/// A process file with this affinity, whose program reports its CPUs.
fn with_affinity(rig: &Rig, affinity: Json) -> Outcome<crate::command::Output> {
    let file = rig.dir.join("process.json");
    let user = json!({"uid": 0i64, "gid": 0i64});
    let args = json!(["/payload", "cpus"]);
    let process = json!({"args": args, "cwd": "/", "user": user, "execCPUAffinity": affinity});
    fs::write(&file, process.to_string())?;
    run(&mut rig.command(&["exec", "--process", &file.display().to_string(), &rig.id]), "")
}
