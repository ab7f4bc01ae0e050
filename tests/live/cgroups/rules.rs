//! Rules of devices changed while the container runs.

use super::update::good;
use super::{unified, unified_top};
use crate::check::{Outcome, same};
use crate::command::Running;
use crate::json;
use crate::json::Json;
use crate::rig::Rig;
use crate::sys::bpf::programs;
use crate::tests_in_layouts;

tests_in_layouts![update_of_devices, update_of_devices_twice, update_of_something_else_leaves_devices];

/// What a process in the container may open.
fn opens(rig: &Rig, path: &str) -> Outcome<String> {
    let output = rig.mote(&["exec", &rig.id, "/payload", "open", path])?.success()?;
    Ok(output.report().get(&format!("open:{path}")).to_string())
}

fn rule(allow: bool, minor: i64) -> Json {
    json!({"allow": allow, "type": "c", "major": 240i64, "minor": minor, "access": "rwm"})
}

/// Devices without a driver: ENXIO when they may be opened.
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
    same("at first", opens(rig, "/dev/own77")?.as_str(), "!EPERM")?;
    good(rig, json!({"devices": [(rule(true, 77))]}))?;
    same("allowed", opens(rig, "/dev/own77")?.as_str(), "!ENXIO")?;
    same("not allowed", opens(rig, "/dev/own78")?.as_str(), "!EPERM")?;
    same("of every container", opens(rig, "/dev/null")?.as_str(), "ok")?;
    rig.delete()
}

/// There is one program at any time.
fn update_of_devices_twice(rig: &mut Rig) -> Outcome {
    let _running = with_devices(rig)?;
    good(rig, json!({"devices": [(rule(true, 77))]}))?;
    good(rig, json!({"devices": [(rule(true, 78)), (rule(false, 77))]}))?;
    same("no more allowed", opens(rig, "/dev/own77")?.as_str(), "!EPERM")?;
    same("allowed", opens(rig, "/dev/own78")?.as_str(), "!ENXIO")?;
    if unified(rig) {
        let programs = programs(&unified_top().join(&rig.cgroup))?;
        same("programs", programs.len(), 1)?;
    }
    rig.delete()
}

/// Engines pass on the list that they know of, to which others have added, or what every list begins with.
fn update_of_something_else_leaves_devices(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let nothing = json!({"allow": false, "access": "rwm"});
    bundle
        .set("linux.devices[+]", json!({"path": "/dev/own77", "type": "c", "major": 240i64, "minor": 77i64}));
    bundle
        .set("linux.devices[+]", json!({"path": "/dev/own78", "type": "c", "major": 240i64, "minor": 78i64}));
    let whole = json!([(nothing.clone()), (rule(true, 77)), (rule(true, 78))]);
    bundle.set("linux.resources.devices", whole.clone());
    let _running = rig.waiting(&mut bundle)?;
    for devices in [json!([(nothing.clone())]), json!([(nothing.clone()), (rule(true, 77))]), whole] {
        good(rig, json!({"devices": devices}))?;
        same("the first", opens(rig, "/dev/own77")?.as_str(), "!ENXIO")?;
        same("the second", opens(rig, "/dev/own78")?.as_str(), "!ENXIO")?;
    }
    rig.delete()
}
