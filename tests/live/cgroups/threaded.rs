//! A container below a threaded cgroup: the kernel lists its processes in the threaded domain (cgroup-v2.rst,
//! "Threads").

use std::fs;

use super::{content, unified_top};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::{processes, remove_cgroups};
use crate::command::{LIMIT, Running};
use crate::json::Json;
use crate::rig::{Layout, Rig};
use crate::{sys, tests};

tests![
    "cgroups",
    threaded_and_all_killed,
    threaded_and_paused,
    threaded_and_deleted_by_force,
    threaded_processes_are_listed,
];

/// Four processes without a pid namespace, in which the exit of the init would kill the others.
fn container_of_four(rig: &mut Rig) -> Outcome<(Running, Vec<i32>)> {
    rig.set_layout(Layout::V2)?;
    let above = unified_top().join(&rig.cgroup);
    fs::create_dir(&above)?;
    fs::write(above.join("cgroup.type"), "threaded")?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    if content(&above.join("leaf"), "cgroup.type")? != "threaded" {
        return skip_allowed("the runtime creates no threaded cgroup");
    }
    let mut all = processes("MOTE_LIVE", &rig.marker);
    all.sort_unstable();
    same("processes", all.len(), 4)?;
    Ok((running, all))
}

fn is_removed(rig: &Rig, all: &[i32]) -> Outcome {
    for pid in all {
        // For a process that was reaped, pidfd_open(2) fails.
        let ended = sys::pidfd(*pid).and_then(|pidfd| sys::readable(&pidfd, LIMIT));
        holds("each process exits", ended.unwrap_or(true))?;
    }
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    holds("the cgroup is removed", !unified_top().join(&rig.cgroup).join("leaf").exists())?;
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn threaded_and_all_killed(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    rig.mote(&["kill", "--all", &rig.id, "KILL"])?.success()?;
    is_removed(rig, &all)
}

fn threaded_and_paused(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    let events = content(&unified_top().join(&rig.cgroup).join("leaf"), "cgroup.events")?;
    contains("cgroup.events", &events, "frozen 1")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    rig.status_is("running")?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.mote(&["kill", "--all", &rig.id, "KILL"])?.success()?;
    is_removed(rig, &all)
}

fn threaded_and_deleted_by_force(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    rig.delete()?;
    is_removed(rig, &all)
}

fn threaded_processes_are_listed(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    let list = Json::parse(&rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout)?;
    same("the list", list, Json::parse(&format!("{all:?}"))?)?;
    rig.delete()?;
    is_removed(rig, &all)
}
