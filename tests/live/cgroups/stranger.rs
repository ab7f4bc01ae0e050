//! Cgroups that are somebody else's: a container that is to be put into one is refused, and whoever is in it lives.

use std::fs;
use std::path::{Path, PathBuf};

use super::{chief, path_of, unified, unified_top};
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::cleanup::{cgroups, remove_cgroups};
use crate::command::{Running, run, start};
use crate::rig::{Layout, Runtime, Rig};
use crate::tests_in_layouts;

tests_in_layouts![
    cgroup_with_a_stranger_in_it,
    cgroup_with_a_stranger_below_it,
    cgroup_with_a_stranger_and_no_program,
    cgroup_of_the_same_container_elsewhere,
];

/// A process of the host in a cgroup, where the runtime's limits and kills would be.
fn stranger(rig: &Rig, path: &str) -> Outcome<(Running, PathBuf)> {
    let top = match unified(rig) {
        true if rig.layout == Layout::V2 || !Path::new("/sys/fs/cgroup/pids").exists() => unified_top(),
        true => PathBuf::from("/sys/fs/cgroup"),
        false => PathBuf::from("/sys/fs/cgroup/pids"),
    };
    let directory = top.join(path);
    fs::create_dir_all(&directory)?;
    let stranger = start(&mut rig.host(&["wait", "1"]), false)?;
    fs::write(directory.join("cgroup.procs"), stranger.pid().to_string())?;
    same("its cgroup", path_of(stranger.pid(), chief(rig))?, format!("/{path}"))?;
    Ok((stranger, directory))
}

/// The container is refused, and the stranger goes on as before, also when what was refused is removed.
fn rejected(rig: &Rig, below: &str, args: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun join a cgroup that has processes");
    }
    let path = format!("{}{below}", rig.cgroup);
    let (stranger, directory) = stranger(rig, &path)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", args.to_vec());
    for verb in ["run", "create"] {
        let output = run(&mut rig.launch(verb, &bundle, &[])?, "")?;
        rig.failure(&output, &["cgroup", "not empty"])?;
        rig.mote(&["delete", "--force", &rig.id])?.success()?;
        holds("the stranger lives", !stranger.has_ended()?)?;
        same("its cgroup", path_of(stranger.pid(), chief(rig))?, format!("/{path}"))?;
    }
    // What the runtime had made in other hierarchies, it has taken away.
    let left = cgroups(&rig.cgroup);
    let others: Vec<&PathBuf> = left.iter().filter(|left| !directory.starts_with(left)).collect();
    holds(&format!("nothing else is left: {others:?}"), others.is_empty())?;
    drop(stranger);
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn cgroup_with_a_stranger_in_it(rig: &mut Rig) -> Outcome {
    rejected(rig, "", &["/payload"])
}

fn cgroup_with_a_stranger_below_it(rig: &mut Rig) -> Outcome {
    rejected(rig, "/below", &["/payload"])
}

/// One that would fail for another reason as well.
fn cgroup_with_a_stranger_and_no_program(rig: &mut Rig) -> Outcome {
    rejected(rig, "/below", &["/no/such/program"])
}

/// Two directories of states know nothing of each other; without a path of its own a cgroup has the container's id.
fn cgroup_of_the_same_container_elsewhere(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    let running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let path = path_of(pid, chief(rig))?;
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
    same("the cgroup", path_of(pid, chief(rig))?, path)?;
    rig.delete()?;
    drop(running);
    Ok(())
}
