//! What is executed and as whom: arguments, environment, directory, user, rights; from the command line and
//! from a file.

use std::fs;

use super::{command, container, exec, facts, only_mote, program, refused};
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::run;
use crate::facts::Facts;
use crate::json;
use crate::json::Json;
use crate::rig::{Peer, Rig};
use crate::tests;

tests![
    "exec",
    arguments,
    arguments_that_look_like_options,
    arguments_after_two_dashes,
    environment_is_the_containers,
    environment_is_merged_by_name,
    environment_has_the_last_of_equal_names,
    environment_without_a_value_is_refused,
    directory_is_the_containers,
    directory,
    directory_missing_is_refused,
    user_is_the_containers,
    user,
    user_and_group,
    user_alone_is_in_the_containers_group,
    additional_groups,
    capabilities_are_the_containers,
    capability,
    capability_that_is_inheritable_is_ambient,
    no_new_privileges,
    file_with_everything,
    file_with_members_left_out,
    file_that_is_broken_is_refused,
    umask_and_signals,
    cpus,
    memory_policy_is_the_containers,
];

fn arguments(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = facts(rig, &[], &["args", "say", "two words", "say", ""])?;
    same("how many", inside.keys("arg:").len(), 6)?;
    inside.is("arg:0", "/payload")?;
    inside.is("arg:3", "two words")?;
    inside.is("arg:5", "")?;
    rig.delete()
}

/// What stands after the program's name is the program's, though mote has options of these names.
fn arguments_that_look_like_options(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let words = ["-d", "--detach", "-user", "-cwd=/", "-env", "-tty", "--", "--cwd", "-no-new-privs", "-p"];
    let verbs: Vec<&str> = ["args"].into_iter().chain(words.iter().flat_map(|word| ["say", word])).collect();
    let inside = facts(rig, &[], &verbs)?;
    same("what came", inside.all("say"), words.to_vec())?;
    rig.delete()
}

fn arguments_after_two_dashes(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let id = rig.id.as_str();
    let orders: [&[&str]; 3] = [
        &["exec", "--", id, "/payload", "say", "--"],
        &["exec", id, "--", "/payload", "say", "--"],
        &["exec", "--cwd", "/", id, "/payload", "say", "--"],
    ];
    for order in orders {
        run(&mut rig.command(order), "")?.good()?.facts().is("say", "--")?;
    }
    rig.delete()
}

fn environment_is_the_containers(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "MINE=of the container");
    rig.waiting(&mut bundle)?;
    let mut command = command(rig, &[], &["env"]);
    command.env("OUTSIDE", "of the caller");
    let inside = run(&mut command, "")?.good()?.facts();
    inside.is("env:MINE", "of the container")?;
    inside.is("env:TERM", "dumb")?;
    inside.is("env:OUTSIDE", "(not said)")?;
    rig.delete()
}

fn environment_is_merged_by_name(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for variable in ["KEPT=old", "MINE=old", "MINEMORE=old"] {
        bundle.set("process.env[+]", variable);
    }
    rig.waiting(&mut bundle)?;
    let options = ["--env", "MINE=new=er", "-e", "OTHER=", "--env=MORE=x y"];
    let inside = facts(rig, &options, &["env"])?;
    same("MINE", inside.all("env:MINE"), vec!["new=er"])?;
    for (name, value) in [("KEPT", "old"), ("MINEMORE", "old"), ("OTHER", ""), ("MORE", "x y")] {
        same(name, inside.all(&format!("env:{name}")), vec![value])?;
    }
    rig.delete()
}

fn environment_has_the_last_of_equal_names(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "MINE=of the container");
    rig.waiting(&mut bundle)?;
    let inside = facts(rig, &["-e", "MINE=1", "-e", "OTHER=1", "-e", "MINE=2", "-e", "HOME="], &["env"])?;
    same("MINE", inside.all("env:MINE"), vec!["2"])?;
    same("HOME", inside.all("env:HOME"), vec!["/"])?;
    let marker = format!("MOTE_LIVE={}", rig.marker);
    let process = json!({
        "args": ["/payload", "env"], "cwd": "/", "env": ["MINE=1", "HOME=/given", "MINE=2", "HOME=", marker]
    });
    let inside = from_file(rig, &process, &[])?.good()?.facts();
    same("MINE", inside.all("env:MINE"), vec!["2"])?;
    same("HOME", inside.all("env:HOME"), vec!["/"])?;
    rig.delete()
}

fn environment_without_a_value_is_refused(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    refused(&exec(rig, &["--env", "MINE"], &[])?, 64, &["--env MINE"])?;
    rig.delete()
}

fn directory_is_the_containers(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.cwd", "/etc");
    rig.waiting(&mut bundle)?;
    facts(rig, &[], &["cwd"])?.is("cwd", "/etc")?;
    rig.delete()
}

fn directory(rig: &mut Rig) -> Outcome {
    container(rig)?;
    facts(rig, &["--cwd", "/tmp"], &["cwd"])?.is("cwd", "/tmp")?;
    rig.delete()
}

fn directory_missing_is_refused(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let bundle = container(rig)?;
    refused(&exec(rig, &["--cwd", "/none"], &["say", "ran"])?, 255, &["/none", "process.cwd"])?;
    same("the directory is made", bundle.inside("none").exists(), false)?;
    refused(&exec(rig, &["--cwd", "etc"], &["say", "ran"])?, 255, &["process.cwd"])?;
    rig.delete()
}

fn user_is_the_containers(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set(
        "process.user",
        json!({"uid": 1000i64, "gid": 1001i64, "umask": 63i64, "additionalGids": [5i64]}),
    );
    rig.waiting(&mut bundle)?;
    let inside = facts(rig, &[], &["id", "umask"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "1001 1001 1001")?;
    inside.is("groups", "5")?;
    inside.is("umask", "0077")?;
    rig.delete()
}

fn user(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let inside = facts(rig, &["--user", "1000"], &["id", "caps"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "0 0 0")?;
    inside.is("cap:effective", "")?;
    for bad in ["root", "1000:", "-1", "4294967295", "1:2:3", ""] {
        refused(&exec(rig, &["--user", bad], &[])?, 64, &["--user"])?;
    }
    rig.delete()
}

fn user_alone_is_in_the_containers_group(rig: &mut Rig) -> Outcome {
    if rig.is(Peer::Crun) {
        return skip_allowed("with crun it is group 0");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64, "additionalGids": [5i64]}));
    rig.waiting(&mut bundle)?;
    let inside = facts(rig, &["--user", "1002"], &["id"])?;
    inside.is("uid", "1002 1002 1002")?;
    inside.is("gid", "1001 1001 1001")?;
    inside.is("groups", "5")?;
    let inside = facts(rig, &["--user", "1002:0"], &["id"])?;
    inside.is("gid", "0 0 0")?;
    rig.delete()
}

fn user_and_group(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = facts(rig, &["-u", "1000:2000"], &["id"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "2000 2000 2000")?;
    rig.delete()
}

fn additional_groups(rig: &mut Rig) -> Outcome {
    if rig.is(Peer::Crun) {
        return skip_allowed("crun has no such option");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.additionalGids", json!([7i64]));
    rig.waiting(&mut bundle)?;
    let inside = facts(rig, &["--additional-gids", "8", "-g", "9"], &["id"])?;
    inside.is("groups", "7 8 9")?;
    rig.delete()
}

const THREE: &str = "KILL NET_BIND_SERVICE AUDIT_WRITE";

fn sets(inside: &Facts, bounding: &str, ambient: &str) -> Outcome {
    for set in ["bounding", "effective", "permitted"] {
        inside.is(&format!("cap:{set}"), bounding)?;
    }
    inside.is("cap:ambient", ambient)?;
    inside.is("cap:inheritable", "")
}

fn capabilities_are_the_containers(rig: &mut Rig) -> Outcome {
    container(rig)?;
    sets(&facts(rig, &[], &["caps"])?, THREE, "")?;
    rig.delete()
}

/// In all sets but the inheritable: without that one the kernel has nothing ambient.
fn capability(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let inside = facts(rig, &["--cap", "CAP_SYS_CHROOT", "-c", "CAP_CHOWN"], &["caps"])?;
    sets(&inside, "CHOWN KILL NET_BIND_SERVICE SYS_CHROOT AUDIT_WRITE", "")?;
    let inside = facts(rig, &["--cap", "CAP_CHOWN", "--user", "1000:1000"], &["caps"])?;
    inside.is("cap:bounding", &format!("CHOWN {THREE}"))?;
    rig.misused(&run(&mut program(rig, &["--cap", "CAP_MOON"], &["/payload"]), "")?, "--cap CAP_MOON")?;
    rig.delete()
}

/// So that a program has it for which an ordinary user asks it.
fn capability_that_is_inheritable_is_ambient(rig: &mut Rig) -> Outcome {
    if rig.is(Peer::Crun) {
        return skip_allowed("crun leaves the ambient set");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.capabilities.inheritable", json!(["CAP_SYS_CHROOT"]));
    rig.waiting(&mut bundle)?;
    let options = ["--cap", "CAP_SYS_CHROOT", "--cap", "CAP_CHOWN", "--user", "1000:1000"];
    let inside = facts(rig, &options, &["caps"])?;
    for (set, capabilities) in [
        ("bounding", "CHOWN KILL NET_BIND_SERVICE SYS_CHROOT AUDIT_WRITE"),
        ("inheritable", "SYS_CHROOT"),
        ("ambient", "SYS_CHROOT"),
        ("effective", "SYS_CHROOT"),
        ("permitted", "SYS_CHROOT"),
    ] {
        inside.is(&format!("cap:{set}"), capabilities)?;
    }
    rig.delete()
}

fn no_new_privileges(rig: &mut Rig) -> Outcome {
    container(rig)?;
    facts(rig, &[], &["nnp"])?.is("nnp", "0")?;
    facts(rig, &["--no-new-privs"], &["nnp"])?.is("nnp", "1")?;
    rig.delete()
}

/// `exec --process` of this file, with whatever else is said.
fn from_file(rig: &Rig, process: &Json, options: &[&str]) -> Outcome<crate::command::Output> {
    let path = rig.dir.join("process.json");
    fs::write(&path, process.to_string())?;
    let path = path.display().to_string();
    run(&mut program(rig, &[&["--process", path.as_str()], options].concat(), &[]), "")
}

fn file_with_everything(rig: &mut Rig) -> Outcome {
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
    let inside = from_file(rig, &process, &[])?.good()?.facts();
    for (key, value) in [
        ("arg:9", "oom"),
        ("env:MINE", "1"),
        ("env:TERM", "(not said)"),
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

/// These are then as in the container's configuration.
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
    let inside = from_file(rig, &process, &[])?.good()?.facts();
    inside.is("env:MINE", "of the container")?;
    inside.is("umask", "0077")?;
    inside.is("limit:NOFILE", "100 200")?;
    inside.is("oom", "400")?;
    inside.is("cwd", "/tmp")?;
    sets(&inside, THREE, "")?;
    rig.delete()
}

fn file_that_is_broken_is_refused(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    refused(&from_file(rig, &json!({"cwd": "/"}), &[])?, 255, &["args"])?;
    refused(
        &from_file(rig, &json!({"args": ["/payload"], "cwd": 1i64}), &[])?,
        255,
        &["process.json", "cwd"],
    )?;
    refused(&from_file(rig, &json!([1i64]), &[])?, 255, &["process.json"])?;
    let output = run(&mut program(rig, &["--process", "/none.json"], &[]), "")?;
    refused(&output, 255, &["/none.json"])?;
    contains("the error", &output.stderr, "no such file or directory")?;
    rig.delete()
}

fn umask_and_signals(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = facts(rig, &[], &["umask", "signals"])?;
    inside.is("umask", "0022")?;
    inside.is("ignored", "")?;
    inside.is("blocked", "")?;
    rig.delete()
}

/// `execCPUAffinity` of the container is for those that join it, and not for its first process.
fn cpus(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    let all = rig.facts(&mut bundle, &["cpus"])?.get("cpus").to_string();
    bundle.set("process.execCPUAffinity", json!({"initial": "0", "final": "1"}));
    rig.facts(&mut bundle, &["cpus"])?.is("cpus", &all)?;
    rig.waiting(&mut bundle)?;
    facts(rig, &[], &["cpus"])?.is("cpus", "1")?;
    for (affinity, seen) in [
        (json!({"final": "0"}), "0"),
        (json!({"initial": "1"}), "1"),
        (json!({"initial": "", "final": ""}), all.as_str()),
        (json!({"initial": "0", "final": "0-1"}), "0-1"),
    ] {
        with_affinity(rig, affinity)?.good()?.facts().is("cpus", seen)?;
    }
    for (list, word) in [("0-x", "is not a list"), ("8000", "invalid argument")] {
        let output = with_affinity(rig, json!({"final": list}))?;
        refused(&output, 255, &["process.execCPUAffinity", word])?;
    }
    rig.delete()
}

fn memory_policy_is_the_containers(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}));
    rig.waiting(&mut bundle)?;
    facts(rig, &[], &["nodes"])?.is("nodes", "bind:0")?;
    rig.delete()
}

/// A process, out of a file, that says its CPUs.
fn with_affinity(rig: &Rig, affinity: Json) -> Outcome<crate::command::Output> {
    let file = rig.dir.join("process.json");
    let user = json!({"uid": 0i64, "gid": 0i64});
    let args = json!(["/payload", "cpus"]);
    let process = json!({"args": args, "cwd": "/", "user": user, "execCPUAffinity": affinity});
    fs::write(&file, process.to_string())?;
    run(&mut rig.command(&["exec", "--process", &file.display().to_string(), &rig.id]), "")
}
