//! Cgroups created by systemd: scopes with limits as properties, and the exact limits in a cgroup below. These tests
//! need systemd, and cgroup v2 except for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{content, path_of, unified};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{Running, run};
use crate::json;
use crate::json::Json;
use crate::namespaces::join;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "systemd",
    systemd_properties_have_the_limits,
    systemd_scope_and_cgroup,
    systemd_subgroup_by_annotation,
    systemd_properties_by_annotation,
    systemd_invalid_property_is_rejected,
    systemd_other_paths_are_rejected,
    systemd_update,
    systemd_update_that_fails_changes_nothing,
    systemd_pause,
    systemd_exec,
    systemd_one_process,
    systemd_small_memory,
    systemd_oom,
    systemd_devices,
    systemd_cgroup_mount,
    systemd_with_a_joined_user_namespace,
    systemd_delegated_cgroup,
    systemd_on_v1,
];

/// Skips the test without systemd and cgroup v2; selects the systemd cgroup manager.
pub fn with_systemd(rig: &mut Rig) -> Outcome {
    with_any_systemd(rig)?;
    match unified(rig) {
        true => Ok(()),
        false => skip_allowed("systemd uses cgroup v1"),
    }
}

fn with_any_systemd(rig: &mut Rig) -> Outcome {
    if !Path::new("/run/systemd/private").exists() {
        return skip_allowed("no systemd");
    }
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun use other names and messages");
    }
    rig.globals = vec!["--systemd-cgroup".to_string()];
    Ok(())
}

/// A bundle whose scope is named after the cgroup of the test.
pub fn bundle(rig: &mut Rig) -> Outcome<Bundle> {
    with_systemd(rig)?;
    named(rig)
}

fn named(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("system.slice::{}", rig.cgroup));
    Ok(bundle)
}

pub fn unit(rig: &Rig) -> String {
    format!("{}.scope", rig.cgroup)
}

pub fn scope(rig: &Rig) -> PathBuf {
    Path::new("/sys/fs/cgroup/system.slice").join(unit(rig))
}

/// A property of the scope, from systemctl(1).
pub fn property(rig: &Rig, name: &str) -> Outcome<String> {
    let words = ["show", "--property", name, "--value", &unit(rig)];
    Ok(run(Command::new("systemctl").args(words), "")?.success()?.stdout.trim().to_string())
}

pub fn has(rig: &Rig, properties: &[(&str, &str)]) -> Outcome {
    properties.iter().try_for_each(|(name, value)| same(name, property(rig, name)?.as_str(), *value))
}

/// Checks that neither the scope nor anything else is left.
pub fn nothing_left(rig: &Rig) -> Outcome {
    has(rig, &[("LoadState", "not-found")])?;
    rig.nothing_left()
}

pub fn removed(rig: &Rig) -> Outcome {
    rig.delete()?;
    nothing_left(rig)
}

fn limited(rig: &mut Rig) -> Outcome<Running> {
    let mut bundle = bundle(rig)?;
    let cpu = json!({"shares": 2048i64, "quota": 12345i64, "period": 50000i64, "cpus": "0", "mems": "0"});
    let memory = json!({"limit": 67108864i64, "swap": 100663296i64, "reservation": 1048576i64});
    bundle.set("linux.resources", json!({"memory": memory, "cpu": cpu, "pids": {"limit": 20i64}}));
    bundle.set("linux.resources.unified", json!({"memory.high": "60000000", "cpu.max.burst": "1000"}));
    rig.waiting(&mut bundle)
}

fn systemd_properties_have_the_limits(rig: &mut Rig) -> Outcome {
    let _running = limited(rig)?;
    let (scope, own) = (scope(rig), scope(rig).join("container"));
    for (file, value) in [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "1048576"),
        ("memory.high", "59998208"),
        ("pids.max", "20"),
        ("cpu.weight", "174"),
        ("cpu.max.burst", "1000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
    ] {
        for place in [&scope, &own] {
            same(&format!("{file} in {}", place.display()), content(place, file)?.as_str(), value)?;
        }
    }
    // systemd rounds to whole percents.
    same("cpu.max", content(&own, "cpu.max")?.as_str(), "12345 50000")?;
    same("cpu.max of the scope", content(&scope, "cpu.max")?.as_str(), "12500 50000")?;
    has(
        rig,
        &[
            ("MemoryMax", "67108864"),
            ("MemorySwapMax", "33554432"),
            ("MemoryLow", "1048576"),
            ("MemoryHigh", "60000000"),
            ("TasksMax", "20"),
            ("CPUWeight", "174"),
            ("CPUQuotaPerSecUSec", "250ms"),
            ("CPUQuotaPeriodUSec", "50ms"),
            ("AllowedCPUs", "0"),
            ("AllowedMemoryNodes", "0"),
        ],
    )?;
    removed(rig)
}

fn systemd_scope_and_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.remove("linux.cgroupsPath");
    let _running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let path = format!("0::/system.slice/mote-{}.scope/container\n", rig.id);
    same("the cgroup", fs::read_to_string(format!("/proc/{pid}/cgroup"))?, path)?;
    rig.cgroup = format!("mote-{}", rig.id);
    same("processes", content(&scope(rig).join("container"), "cgroup.procs")?, pid.to_string())?;
    same("processes of the scope", content(&scope(rig), "cgroup.procs")?.as_str(), "")?;
    let state = rig.state.join(&rig.id);
    has(
        rig,
        &[
            ("Slice", "system.slice"),
            ("Delegate", "yes"),
            ("DefaultDependencies", "no"),
            ("MemoryAccounting", "yes"),
            ("TasksAccounting", "yes"),
            ("ActiveState", "active"),
            ("Description", &format!("container {}", state.display())),
        ],
    )?;
    removed(rig)
}

fn systemd_subgroup_by_annotation(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    for (name, below) in [("", ""), ("a/b", "/a/b")] {
        bundle.set("annotations", json!({"run.oci.systemd.subgroup": name}));
        bundle.set("linux.resources.pids.limit", 9i64);
        let _running = rig.waiting(&mut bundle)?;
        let own = format!("{}{below}", scope(rig).display());
        same("pids.max", content(Path::new(&own), "pids.max")?.as_str(), "9")?;
        same("processes of the cgroup", content(Path::new(&own), "cgroup.procs")?, rig.pid()?.to_string())?;
        removed(rig)?;
    }
    bundle.set("annotations", json!({"run.oci.systemd.subgroup": "a/../b"}));
    rig.rejected(&bundle, &["annotations.run.oci.systemd.subgroup", "\"..\""])
}

fn systemd_properties_by_annotation(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set(
        "annotations",
        json!({
            "org.systemd.property.TimeoutStopSec": "uint64 7",
            "org.systemd.property.CollectMode": "'inactive'",
            "org.systemd.property.After": "['basic.target', 'sysinit.target']",
            "org.systemd.property.IPAccounting": "true",
        }),
    );
    let _running = rig.waiting(&mut bundle)?;
    has(rig, &[("TimeoutStopUSec", "7s"), ("CollectMode", "inactive"), ("IPAccounting", "yes")])?;
    contains("After", &property(rig, "After")?, "basic.target")?;
    removed(rig)
}

fn systemd_invalid_property_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("annotations", json!({"org.systemd.property.TimeoutStopSec": "'soon'"}));
    rig.rejected(&bundle, &["annotations.org.systemd.property.TimeoutStopSec", "not a number of seconds"])?;
    bundle.set("annotations", json!({"org.systemd.property.CollectMode": "'never'"}));
    let words = ["StartTransientUnit", &unit(rig), "org.freedesktop.DBus.Error.InvalidArgs"];
    rig.rejected(&bundle, &words)?;
    // Unknown properties of limits are left out, but a property of an annotation is not.
    bundle.set("annotations", json!({"org.systemd.property.NoSuchThing": "5"}));
    rig.rejected(&bundle, &["StartTransientUnit", &unit(rig), "NoSuchThing"])?;
    nothing_left(rig)
}

fn systemd_other_paths_are_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    for path in ["/a/b", "system.slice:x", "a/b.slice:x:y", "system.slice:x:a b"] {
        bundle.set("linux.cgroupsPath", path);
        rig.rejected(&bundle, &["linux.cgroupsPath", path])?;
    }
    Ok(())
}

fn systemd_update(rig: &mut Rig) -> Outcome {
    let _running = limited(rig)?;
    let resources = json!({
        "memory": {"limit": 134217728i64, "swap": 134217728i64},
        "cpu": {"quota": 20000i64, "shares": 1024i64},
        "pids": {"limit": 30i64},
    });
    run(&mut rig.command(&["update", "--resources", "-", &rig.id]), &resources.to_string())?.success()?;
    let (scope, own) = (scope(rig), scope(rig).join("container"));
    for (file, value) in [
        ("memory.max", "134217728"),
        ("memory.swap.max", "0"),
        ("pids.max", "30"),
        ("cpu.weight", "100"),
        ("cpu.max", "20000 50000"),
    ] {
        for place in [&scope, &own] {
            same(&format!("{file} in {}", place.display()), content(place, file)?.as_str(), value)?;
        }
    }
    has(rig, &[("MemoryMax", "134217728"), ("TasksMax", "30"), ("CPUQuotaPerSecUSec", "400ms")])?;
    // The value that systemd writes itself is the same.
    run(Command::new("systemctl").arg("daemon-reload"), "")?.success()?;
    same("memory.max", content(&own, "memory.max")?.as_str(), "134217728")?;
    same("memory.max of the scope", content(&scope, "memory.max")?.as_str(), "134217728")?;
    removed(rig)
}

fn systemd_update_that_fails_changes_nothing(rig: &mut Rig) -> Outcome {
    let _running = limited(rig)?;
    let resources = json!({"pids": {"limit": 30i64}, "cpu": {"cpus": "4000"}});
    let output = run(&mut rig.command(&["update", "--resources", "-", &rig.id]), &resources.to_string())?;
    output.failure(&["linux.resources.cpu.cpus"])?;
    same("pids.max", content(&scope(rig).join("container"), "pids.max")?.as_str(), "20")?;
    has(rig, &[("TasksMax", "20")])?;
    removed(rig)
}

fn systemd_pause(rig: &mut Rig) -> Outcome {
    let _running = limited(rig)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    rig.status_is("running")?;
    // `delete` while paused.
    rig.mote(&["pause", &rig.id])?.success()?;
    removed(rig)
}

fn systemd_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.without_namespace("cgroup");
    let _running = rig.waiting(&mut bundle)?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "read", "/proc/self/cgroup"])?.success()?.report();
    let path = format!("0::/system.slice/{}/container", unit(rig));
    contains("the cgroup", inside.get("read:/proc/self/cgroup"), &path)?;
    removed(rig)
}

/// There must not be two processes at any time.
fn systemd_one_process(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    for limit in [1i64, 2] {
        bundle.set("linux.resources.pids.limit", limit);
        let _running = rig.waiting(&mut bundle)?;
        same("processes", content(&scope(rig), "pids.current")?.as_str(), "1")?;
        removed(rig)?;
    }
    Ok(())
}

fn systemd_small_memory(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("linux.resources.memory.limit", 1_048_576i64);
    let _running = rig.waiting(&mut bundle)?;
    has(rig, &[("MemoryMax", "1048576")])?;
    removed(rig)
}

/// A scope after an OOM kill is "failed", and systemd would keep it.
fn systemd_oom(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("linux.resources.memory", json!({"limit": 16777216i64, "swap": 16777216i64}));
    bundle.verbs(&["allocate", "131072"]);
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 137)?;
    nothing_left(rig)
}

fn systemd_devices(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let all = json!({"allow": false, "access": "rwm"});
    let kmsg = json!({"allow": true, "type": "c", "major": 1i64, "minor": 11i64, "access": "r"});
    bundle.set("linux.resources.devices", Json::List(vec![all, kmsg]));
    let _running = rig.waiting(&mut bundle)?;
    has(rig, &[("DevicePolicy", "strict")])?;
    contains("DeviceAllow", &property(rig, "DeviceAllow")?, "/dev/char/1:11 r")?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "write", "/dev/null"])?.success()?.report();
    inside.is("write:/dev/null", "ok")?;
    removed(rig)
}

fn systemd_cgroup_mount(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    bundle.namespace("cgroup", None);
    bundle.set("linux.resources.pids.limit", 11i64);
    let inside =
        rig.report(&mut bundle, &["read", "/sys/fs/cgroup/pids.max", "read", "/proc/self/cgroup"])?;
    inside.is("read:/sys/fs/cgroup/pids.max", "11\n")?;
    contains("the cgroup", inside.get("read:/proc/self/cgroup"), "0::/")?;
    nothing_left(rig)
}

/// clone3(2) cannot start an intermediate process in the scope, which must exist until the init has been moved there.
fn systemd_with_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let (_holder, pid) = join::user_namespace_of_a_process(rig, &[])?;
    bundle.namespace("user", Some(&join::proc_path(pid, "user")));
    for _ in 0..5 {
        let inside = rig.report(&mut bundle, &["cgroup"])?;
        inside.is("cgroup:", &format!("/system.slice/{}/container", unit(rig)))?;
    }
    nothing_left(rig)
}

/// The limits are those of the container's cgroup, and a delegated cgroup below has limits of its own.
fn systemd_delegated_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.namespace("cgroup", None);
    bundle.set("annotations.\"run.oci.delegate-cgroup\"", "inner");
    bundle.set("linux.resources.pids.limit", 40i64);
    let _running = rig.waiting(&mut bundle)?;
    let own = scope(rig).join("container");
    same("the limit", content(&own, "pids.max")?.as_str(), "40")?;
    same("the limit of the delegated cgroup", content(&own, "inner/pids.max")?.as_str(), "max")?;
    let pid = rig.pid()?.to_string();
    same("processes of the delegated cgroup", content(&own, "inner/cgroup.procs")?, pid)?;
    rig.mote(&["exec", &rig.id, "/payload", "say", "in"])?.success()?.report().is("say", "in")?;
    rig.delete()?;
    nothing_left(rig)
}

/// Limits in the v1 hierarchies and, with the hybrid layout, in v2; and systemd has them as properties.
fn systemd_on_v1(rig: &mut Rig) -> Outcome {
    with_any_systemd(rig)?;
    if unified(rig) {
        return skip_allowed("systemd uses cgroup v2");
    }
    let mut bundle = named(rig)?;
    bundle.set("linux.resources", json!({"pids": {"limit": 20i64}, "cpu": {"shares": 512i64}}));
    let _running = rig.waiting(&mut bundle)?;
    let own = format!("/system.slice/{}/container", unit(rig));
    let is_inside = |limit: &str| -> Outcome {
        for hierarchy in ["pids", "cpu", "freezer", "name=systemd"] {
            same(hierarchy, path_of(rig.pid()?, hierarchy)?, own.clone())?;
        }
        let read = |name, file| content(&PathBuf::from(format!("/sys/fs/cgroup/{name}{own}")), file);
        same("pids.max", read("pids", "pids.max")?.as_str(), limit)?;
        same("cpu.shares", read("cpu", "cpu.shares")?.as_str(), "512")?;
        has(rig, &[("TasksMax", limit), ("CPUShares", "512"), ("Delegate", "yes")])
    };
    is_inside("20")?;
    rig.mote(&["update", "--pids-limit", "30", &rig.id])?.success()?;
    run(Command::new("systemctl").arg("daemon-reload"), "")?.success()?;
    is_inside("30")?;
    rig.mote(&["exec", &rig.id, "/payload", "say", "in"])?.success()?.report().is("say", "in")?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    removed(rig)
}
