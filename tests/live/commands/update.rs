//! `update`: its options, and its errors. The effects are tested in `cgroups/update.rs`.

use std::fs;

use crate::cgroups::{content, controller_dir, is_v1};
use crate::check::{Outcome, same, skip_allowed};
use crate::command::{Output, Running, run};
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Rig, Runtime};
use crate::tests;

tests![
    "commands",
    update_by_options,
    update_by_resources_file,
    update_with_invalid_input_is_rejected,
    update_without_a_cgroup_and_without_changes,
    update_without_a_cgroup_of_a_limit_is_rejected,
];

/// A limit of the container, by its v1 name.
fn limit(rig: &Rig, controller: &str, file: &str) -> Outcome<String> {
    content(&controller_dir(rig, controller, controller)?.0, file)
}

fn update_by_options(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V1)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for (option, value, controller, file, text) in [
        ("--memory", "64m", "memory", "memory.limit_in_bytes", "67108864"),
        ("--memory", "0.5GiB", "memory", "memory.limit_in_bytes", "536870912"),
        ("--memory-reservation", "32768k", "memory", "memory.soft_limit_in_bytes", "33554432"),
        ("--cpu-share", "512", "cpu", "cpu.shares", "512"),
        ("--cpu-period", "50000", "cpu", "cpu.cfs_period_us", "50000"),
        ("--cpu-quota", "25000", "cpu", "cpu.cfs_quota_us", "25000"),
        ("--cpu-burst", "1000", "cpu", "cpu.cfs_burst_us", "1000"),
        ("--cpuset-cpus", "0", "cpuset", "cpuset.cpus", "0"),
        ("--cpuset-mems", "0", "cpuset", "cpuset.mems", "0"),
        ("--pids-limit", "33", "pids", "pids.max", "33"),
        ("--pids-limit", "-1", "pids", "pids.max", "max"),
    ] {
        // The kernel may have the file on v2 only.
        if !is_v1(controller) {
            continue;
        }
        rig.mote(&["update", option, value, &rig.id])?.success()?;
        same(&format!("{option} {value}: {file}"), limit(rig, controller, file)?.as_str(), text)?;
    }
    rig.mote(&["update", &rig.id])?.success()?;
    rig.delete()
}

fn update_by_resources_file(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V1)?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let file = rig.dir.join("resources.json");
    fs::write(&file, json!({"pids": {"limit": 44i64}}).to_string())?;
    let words = ["update", "-r", &file.display().to_string(), "--pids-limit", "55", &rig.id];
    rig.mote(&words)?.success()?;
    // With --resources, other options are ignored, as by runc and crun.
    same("pids.max", limit(rig, "pids", "pids.max")?.as_str(), "44")?;
    rig.delete()
}

fn update_with_invalid_input_is_rejected(rig: &mut Rig) -> Outcome {
    rig.mote(&["update", "nobody"]).and_then(|output| rig.failure(&output, &["does not exist"]))?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for (option, value) in
        [("--memory", "1x"), ("--memory", "-2"), ("--cpu-share", "many"), ("--pids-limit", "")]
    {
        rig.usage_error(&rig.mote(&["update", &format!("{option}={value}"), &rig.id])?, option)?;
    }
    let file = rig.dir.join("resources.json");
    let path = file.display().to_string();
    for (text, words) in [
        ("[]", ["resources.json:1:1", "object"]),
        (r#"{"memory": {"limit": "much"}}"#, ["memory.limit", "integer"]),
        (r#"{"pids": {"limit": 1.5}}"#, ["pids.limit", "integer"]),
        (r#"{"memory": {"limit": 1"#, ["resources.json:1:", ""]),
    ] {
        fs::write(&file, text)?;
        rig.failure(&rig.mote(&["update", "--resources", &path, &rig.id])?, &words)?;
    }
    rig.failure(&rig.mote(&["update", "--l3-cache-schema", "L3:0=f", &rig.id])?, &["no linux.intelRdt"])?;
    rig.kill_init()?;
    rig.failure(&rig.mote(&["update", "--pids-limit", "5", &rig.id])?, &["container not running"])?;
    rig.delete()
}

/// A container without a cgroup, whose configuration has a device rule.
fn without_cgroup(rig: &mut Rig) -> Outcome<Running> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such option");
    }
    rig.globals.extend(["--cgroup-manager".to_string(), "disabled".to_string()]);
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.devices", json!([(rule(false)), (rule(true))]));
    rig.waiting(&mut bundle)
}

/// A rule that denies everything, or one that allows one device.
fn rule(allow: bool) -> Json {
    match allow {
        true => json!({"allow": true, "type": "c", "major": 10i64, "minor": 229i64, "access": "rwm"}),
        false => json!({"allow": false, "access": "rwm"}),
    }
}

fn with_resources(rig: &Rig, resources: Json) -> Outcome<Output> {
    run(&mut rig.command(&["update", "--resources", "-", &rig.id]), &resources.to_string())
}

/// What podman sends when it changes the restart policy, a health check or the environment.
fn update_without_a_cgroup_and_without_changes(rig: &mut Rig) -> Outcome {
    let _running = without_cgroup(rig)?;
    for resources in [
        json!({}),
        json!({"devices": [(rule(false))]}),
        json!({"devices": [(rule(false)), (rule(true))]}),
        json!({"memory": {"limit": 0i64, "disableOOMKiller": false}, "cpu": {"shares": 0i64}, "pids": {}}),
    ] {
        with_resources(rig, resources)?.success()?;
    }
    rig.mote(&["update", &rig.id])?.success()?;
    rig.delete()
}

fn update_without_a_cgroup_of_a_limit_is_rejected(rig: &mut Rig) -> Outcome {
    let _running = without_cgroup(rig)?;
    for (resources, field) in [
        (json!({"pids": {"limit": 5i64}}), "linux.resources.pids.limit: it has no cgroup"),
        (json!({"devices": [(rule(true))]}), "linux.resources.devices: it has no cgroup"),
        (
            json!({"devices": [(rule(false))], "memory": {"limit": 1048576i64}}),
            "linux.resources.memory.limit: it has no cgroup",
        ),
    ] {
        rig.failure(&with_resources(rig, resources)?, &[&rig.id, field])?;
    }
    rig.delete()
}
