//! Cgroups that contain processes of another program: mote rejects them for a container, and does not kill the
//! processes.

use std::fs;
use std::path::{Path, PathBuf};

use super::{main_controller, path_of, unified, unified_top};
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::cleanup::{cgroups, remove_cgroups};
use crate::command::{Running, run, start};
use crate::rig::{Layout, Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![
    cgroup_with_another_process_is_rejected,
    cgroup_with_another_process_below_is_rejected,
    cgroup_with_another_process_and_a_missing_program,
    cgroup_of_a_container_in_another_state_root_is_rejected,
];

/// Starts a process of the host in a cgroup, to which limits and signals of a container would apply.
fn other(rig: &Rig, path: &str) -> Outcome<(Running, PathBuf)> {
    let top = match unified(rig) {
        true if rig.layout == Layout::V2 || !Path::new("/sys/fs/cgroup/pids").exists() => unified_top(),
        true => PathBuf::from("/sys/fs/cgroup"),
        false => PathBuf::from("/sys/fs/cgroup/pids"),
    };
    let directory = top.join(path);
    fs::create_dir_all(&directory)?;
    let other = start(&mut rig.host(&["wait", "1"]), false)?;
    fs::write(directory.join("cgroup.procs"), other.pid().to_string())?;
    same("the cgroup of the other process", path_of(other.pid(), main_controller(rig))?, format!("/{path}"))?;
    Ok((other, directory))
}

/// Checks that the container is rejected and the other process continues, also after the container was deleted.
fn rejected(rig: &Rig, below: &str, args: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun join a cgroup that has processes");
    }
    let path = format!("{}{below}", rig.cgroup);
    let (other, directory) = other(rig, &path)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", args.to_vec());
    for verb in ["run", "create"] {
        let output = run(&mut rig.launch(verb, &bundle, &[])?, "")?;
        rig.failure(&output, &["cgroup", "not empty"])?;
        rig.mote(&["delete", "--force", &rig.id])?.success()?;
        holds("the other process still runs", !other.has_ended()?)?;
        same(
            "the cgroup of the other process",
            path_of(other.pid(), main_controller(rig))?,
            format!("/{path}"),
        )?;
    }
    // The cgroups that mote has created in other hierarchies are removed.
    let left = cgroups(&rig.cgroup);
    let others: Vec<&PathBuf> = left.iter().filter(|left| !directory.starts_with(left)).collect();
    holds(&format!("no other cgroup is left: {others:?}"), others.is_empty())?;
    drop(other);
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn cgroup_with_another_process_is_rejected(rig: &mut Rig) -> Outcome {
    rejected(rig, "", &["/payload"])
}

fn cgroup_with_another_process_below_is_rejected(rig: &mut Rig) -> Outcome {
    rejected(rig, "/below", &["/payload"])
}

/// A configuration that is invalid for another reason, too.
fn cgroup_with_another_process_and_a_missing_program(rig: &mut Rig) -> Outcome {
    rejected(rig, "/below", &["/no/such/program"])
}

/// Two state roots with the same container id: without `cgroupsPath`, the cgroup has the name of the container.
fn cgroup_of_a_container_in_another_state_root_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    let running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let path = path_of(pid, main_controller(rig))?;
    let here = std::mem::replace(&mut rig.state, rig.dir.join("elsewhere"));
    let mut other = rig.bundle()?;
    other.remove("linux.cgroupsPath");
    other.verbs(&["say", "here"]);
    let output = rig.run(&other, &[])?;
    if rig.is(Runtime::Mote) {
        rig.failure(&output, &["cgroup", "not empty"])?;
    }
    rig.mote(&["delete", "--force", &rig.id])?;
    rig.state = here;
    rig.status_is("running")?;
    same("pid", rig.pid()?, pid)?;
    same("the cgroup", path_of(pid, main_controller(rig))?, path)?;
    rig.delete()?;
    drop(running);
    Ok(())
}
