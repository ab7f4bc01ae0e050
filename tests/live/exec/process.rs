//! Attributes of an exec process: arguments, environment, working directory, user, privileges; given by options or
//! inherited from the container's configuration.

use super::file::from_file;
use super::{command, container, exec, only_mote, program, rejected, report};
use crate::check::{Outcome, same, skip_allowed};
use crate::command::run;
use crate::json;
use crate::process::schedule::has_numa;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "exec",
    arguments,
    arguments_that_look_like_options,
    arguments_after_two_dashes,
    environment_is_that_of_the_container,
    environment_is_merged_by_name,
    environment_uses_the_last_of_duplicates,
    environment_without_a_value_is_rejected,
    directory_is_that_of_the_container,
    directory,
    directory_missing_is_rejected,
    user_is_that_of_the_container,
    user,
    user_and_group,
    user_without_group_has_the_containers_group,
    additional_groups,
    capabilities_are_those_of_the_container,
    capability,
    capability_that_is_inheritable_is_ambient,
    no_new_privileges,
    umask_and_signals,
    memory_policy_is_that_of_the_container,
];

fn arguments(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = report(rig, &[], &["args", "say", "two words", "say", ""])?;
    same("number of arguments", inside.keys("arg:").len(), 6)?;
    inside.is("arg:0", "/payload")?;
    inside.is("arg:3", "two words")?;
    inside.is("arg:5", "")?;
    rig.delete()
}

/// Operands after the program's name are arguments, even if mote has options of these names.
fn arguments_that_look_like_options(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let words = ["-d", "--detach", "-user", "-cwd=/", "-env", "-tty", "--", "--cwd", "-no-new-privs", "-p"];
    let verbs: Vec<&str> = ["args"].into_iter().chain(words.iter().flat_map(|word| ["say", word])).collect();
    let inside = report(rig, &[], &verbs)?;
    same("the arguments", inside.all("say"), words.to_vec())?;
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
        run(&mut rig.command(order), "")?.success()?.report().is("say", "--")?;
    }
    rig.delete()
}

fn environment_is_that_of_the_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "MINE=of the container");
    rig.waiting(&mut bundle)?;
    let mut command = command(rig, &[], &["env"]);
    command.env("OUTSIDE", "of the caller");
    let inside = run(&mut command, "")?.success()?.report();
    inside.is("env:MINE", "of the container")?;
    inside.is("env:TERM", "dumb")?;
    inside.is("env:OUTSIDE", "(not reported)")?;
    rig.delete()
}

fn environment_is_merged_by_name(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for variable in ["KEPT=old", "MINE=old", "MINEMORE=old"] {
        bundle.set("process.env[+]", variable);
    }
    rig.waiting(&mut bundle)?;
    let options = ["--env", "MINE=new=er", "-e", "OTHER=", "--env=MORE=x y"];
    let inside = report(rig, &options, &["env"])?;
    same("MINE", inside.all("env:MINE"), vec!["new=er"])?;
    for (name, value) in [("KEPT", "old"), ("MINEMORE", "old"), ("OTHER", ""), ("MORE", "x y")] {
        same(name, inside.all(&format!("env:{name}")), vec![value])?;
    }
    rig.delete()
}

fn environment_uses_the_last_of_duplicates(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "MINE=of the container");
    rig.waiting(&mut bundle)?;
    let inside = report(rig, &["-e", "MINE=1", "-e", "OTHER=1", "-e", "MINE=2", "-e", "HOME="], &["env"])?;
    same("MINE", inside.all("env:MINE"), vec!["2"])?;
    same("HOME", inside.all("env:HOME"), vec!["/"])?;
    let marker = format!("MOTE_LIVE={}", rig.marker);
    let process = json!({
        "args": ["/payload", "env"], "cwd": "/", "env": ["MINE=1", "HOME=/given", "MINE=2", "HOME=", marker]
    });
    let inside = from_file(rig, &process, &[])?.success()?.report();
    same("MINE", inside.all("env:MINE"), vec!["2"])?;
    same("HOME", inside.all("env:HOME"), vec!["/"])?;
    rig.delete()
}

fn environment_without_a_value_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    rejected(&exec(rig, &["--env", "MINE"], &[])?, 64, &["--env MINE"])?;
    rig.delete()
}

fn directory_is_that_of_the_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.cwd", "/etc");
    rig.waiting(&mut bundle)?;
    report(rig, &[], &["cwd"])?.is("cwd", "/etc")?;
    rig.delete()
}

fn directory(rig: &mut Rig) -> Outcome {
    container(rig)?;
    report(rig, &["--cwd", "/tmp"], &["cwd"])?.is("cwd", "/tmp")?;
    rig.delete()
}

fn directory_missing_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let bundle = container(rig)?;
    rejected(&exec(rig, &["--cwd", "/none"], &["say", "ran"])?, 255, &["/none", "process.cwd"])?;
    same("the directory is created", bundle.host_path("none").exists(), false)?;
    rejected(&exec(rig, &["--cwd", "etc"], &["say", "ran"])?, 255, &["process.cwd"])?;
    rig.delete()
}

fn user_is_that_of_the_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set(
        "process.user",
        json!({"uid": 1000i64, "gid": 1001i64, "umask": 63i64, "additionalGids": [5i64]}),
    );
    rig.waiting(&mut bundle)?;
    let inside = report(rig, &[], &["id", "umask"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "1001 1001 1001")?;
    inside.is("groups", "5")?;
    inside.is("umask", "0077")?;
    rig.delete()
}

fn user(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let inside = report(rig, &["--user", "1000"], &["id", "caps"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "0 0 0")?;
    inside.is("cap:effective", "")?;
    for invalid in ["root", "1000:", "-1", "4294967295", "1:2:3", ""] {
        rejected(&exec(rig, &["--user", invalid], &[])?, 64, &["--user"])?;
    }
    rig.delete()
}

fn user_without_group_has_the_containers_group(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun uses group 0");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64, "additionalGids": [5i64]}));
    rig.waiting(&mut bundle)?;
    let inside = report(rig, &["--user", "1002"], &["id"])?;
    inside.is("uid", "1002 1002 1002")?;
    inside.is("gid", "1001 1001 1001")?;
    inside.is("groups", "5")?;
    let inside = report(rig, &["--user", "1002:0"], &["id"])?;
    inside.is("gid", "0 0 0")?;
    rig.delete()
}

fn user_and_group(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = report(rig, &["-u", "1000:2000"], &["id"])?;
    inside.is("uid", "1000 1000 1000")?;
    inside.is("gid", "2000 2000 2000")?;
    rig.delete()
}

fn additional_groups(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun has no such option");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.additionalGids", json!([7i64]));
    rig.waiting(&mut bundle)?;
    let inside = report(rig, &["--additional-gids", "8", "-g", "9"], &["id"])?;
    inside.is("groups", "7 8 9")?;
    rig.delete()
}

pub const THREE: &str = "KILL NET_BIND_SERVICE AUDIT_WRITE";

pub fn sets(inside: &Report, bounding: &str, ambient: &str) -> Outcome {
    for set in ["bounding", "effective", "permitted"] {
        inside.is(&format!("cap:{set}"), bounding)?;
    }
    inside.is("cap:ambient", ambient)?;
    inside.is("cap:inheritable", "")
}

fn capabilities_are_those_of_the_container(rig: &mut Rig) -> Outcome {
    container(rig)?;
    sets(&report(rig, &[], &["caps"])?, THREE, "")?;
    rig.delete()
}

/// Added to all sets except the inheritable one, and therefore the ambient one.
fn capability(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let inside = report(rig, &["--cap", "CAP_SYS_CHROOT", "-c", "CAP_CHOWN"], &["caps"])?;
    sets(&inside, "CHOWN KILL NET_BIND_SERVICE SYS_CHROOT AUDIT_WRITE", "")?;
    let inside = report(rig, &["--cap", "CAP_CHOWN", "--user", "1000:1000"], &["caps"])?;
    inside.is("cap:bounding", &format!("CHOWN {THREE}"))?;
    rig.usage_error(&run(&mut program(rig, &["--cap", "CAP_MOON"], &["/payload"]), "")?, "--cap CAP_MOON")?;
    rig.delete()
}

/// As an ordinary user, the program only has the capability through the ambient set.
fn capability_that_is_inheritable_is_ambient(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun does not change the ambient set");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.capabilities.bounding[+]", "CAP_SYS_CHROOT");
    bundle.set("process.capabilities.inheritable", json!(["CAP_SYS_CHROOT"]));
    rig.waiting(&mut bundle)?;
    let options = ["--cap", "CAP_SYS_CHROOT", "--cap", "CAP_CHOWN", "--user", "1000:1000"];
    let inside = report(rig, &options, &["caps"])?;
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
    report(rig, &[], &["nnp"])?.is("nnp", "0")?;
    report(rig, &["--no-new-privs"], &["nnp"])?.is("nnp", "1")?;
    rig.delete()
}

fn umask_and_signals(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = report(rig, &[], &["umask", "signals"])?;
    inside.is("umask", "0022")?;
    inside.is("ignored", "")?;
    inside.is("blocked", "")?;
    rig.delete()
}

fn memory_policy_is_that_of_the_container(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    has_numa()?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "0"}));
    rig.waiting(&mut bundle)?;
    report(rig, &[], &["nodes"])?.is("nodes", "bind:0")?;
    rig.delete()
}
