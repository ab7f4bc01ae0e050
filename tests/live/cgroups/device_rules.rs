//! Device rules changed by `update` while the container runs.

use super::update::succeeds;
use super::{unified, unified_top};
use crate::check::{Outcome, same};
use crate::command::Running;
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::sys::bpf::programs;
use crate::tests_in_layouts;

tests_in_layouts![update_of_devices, update_of_devices_twice, update_with_some_of_the_rules_keeps_the_others];

/// The result of opening a device in the container.
fn open_result(rig: &Rig, path: &str) -> Outcome<String> {
    let output = rig.mote(&["exec", &rig.id, "/payload", "open", path])?.success()?;
    Ok(output.report().get(&format!("open:{path}")).to_string())
}

fn rule(allow: bool, minor: i64) -> Json {
    json!({"allow": allow, "type": "c", "major": 240i64, "minor": minor, "access": "rwm"})
}

/// Starts a container with devices without a driver, which fail with ENXIO if they may be opened.
fn with_devices(rig: &Rig) -> Outcome<Running> {
    let mut bundle = rig.bundle()?;
    for minor in [77, 78] {
        let path = format!("/dev/own{minor}");
        let node = json!({"path": path, "type": "c", "major": 240i64, "minor": minor});
        bundle.set("linux.devices[+]", node);
    }
    rig.waiting(&mut bundle)
}

fn update_of_devices(rig: &mut Rig) -> Outcome {
    let _running = with_devices(rig)?;
    same("before the update", open_result(rig, "/dev/own77")?.as_str(), "!EPERM")?;
    succeeds(rig, json!({"devices": [(rule(true, 77))]}))?;
    same("allowed", open_result(rig, "/dev/own77")?.as_str(), "!ENXIO")?;
    same("a device without a rule", open_result(rig, "/dev/own78")?.as_str(), "!EPERM")?;
    same("a default device", open_result(rig, "/dev/null")?.as_str(), "ok")?;
    rig.delete()
}

/// There is one program at any time.
fn update_of_devices_twice(rig: &mut Rig) -> Outcome {
    let _running = with_devices(rig)?;
    succeeds(rig, json!({"devices": [(rule(true, 77))]}))?;
    succeeds(rig, json!({"devices": [(rule(true, 78)), (rule(false, 77))]}))?;
    same("a device no longer allowed", open_result(rig, "/dev/own77")?.as_str(), "!EPERM")?;
    same("allowed", open_result(rig, "/dev/own78")?.as_str(), "!ENXIO")?;
    if unified(rig) {
        let programs = programs(&unified_top().join(&rig.cgroup))?;
        same("programs", programs.len(), 1)?;
    }
    rig.delete()
}

/// Engines send the rules that they know of, to which others may have been added: no rule is removed.
fn update_with_some_of_the_rules_keeps_the_others(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let nothing = json!({"allow": false, "access": "rwm"});
    bundle
        .set("linux.devices[+]", json!({"path": "/dev/own77", "type": "c", "major": 240i64, "minor": 77i64}));
    bundle
        .set("linux.devices[+]", json!({"path": "/dev/own78", "type": "c", "major": 240i64, "minor": 78i64}));
    let all = json!([(nothing.clone()), (rule(true, 77)), (rule(true, 78))]);
    bundle.set("linux.resources.devices", all.clone());
    let _running = rig.waiting(&mut bundle)?;
    for devices in [json!([(nothing.clone())]), json!([(nothing.clone()), (rule(true, 77))]), all] {
        succeeds(rig, json!({"devices": devices}))?;
        same("the first", open_result(rig, "/dev/own77")?.as_str(), "!ENXIO")?;
        same("the second", open_result(rig, "/dev/own78")?.as_str(), "!ENXIO")?;
    }
    rig.delete()
}
