//! Cgroups frozen by another program: no command may wait for a process in them. The kernel freezes all cgroups below,
//! too.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::{content, unified, unified_top};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::{cgroups, processes, remove_cgroups};
use crate::command::{LIMIT, Running, run, start};
use crate::rig::{Layout, Rig, Runtime};
use crate::{sys, tests_in_layouts};

tests_in_layouts![
    frozen_cgroup_above_is_rejected,
    frozen_cgroup_above_of_the_other_version_is_rejected,
    frozen_existing_cgroup_is_rejected,
    frozen_above_after_start_is_paused,
    frozen_above_after_start_and_deleted,
    paused_before_the_start,
    paused_and_killed,
    paused_and_all_killed,
    paused_and_deleted_by_force,
    frozen_below_and_all_killed,
    frozen_below_and_deleted_by_force,
    frozen_with_a_process_of_another_program,
];

/// A cgroup, and the file that freezes it, on v1 or v2.
struct Freezer {
    directory: PathBuf,
    v1: bool,
}

impl Freezer {
    fn at(rig: &Rig, v1: bool, path: &str) -> Freezer {
        let top = match v1 {
            true => PathBuf::from("/sys/fs/cgroup/freezer"),
            false if unified(rig) || rig.layout == Layout::Machine => unified_top(),
            false => PathBuf::from("/sys/fs/cgroup/unified"),
        };
        Freezer { directory: top.join(path), v1 }
    }

    /// The freezer that the runtime uses.
    fn of(rig: &Rig, path: &str) -> Freezer {
        let v1 = !unified(rig) && super::is_v1("freezer");
        Freezer::at(rig, v1, path)
    }

    fn set(&self, on: bool) -> Outcome {
        let (file, word) = match (self.v1, on) {
            (true, true) => ("freezer.state", "FROZEN"),
            (true, false) => ("freezer.state", "THAWED"),
            (false, true) => ("cgroup.freeze", "1"),
            (false, false) => ("cgroup.freeze", "0"),
        };
        let path = self.directory.join(file);
        fs::write(&path, word).map_err(|error| format!("{}: {error}", path.display()))?;
        if !on {
            return Ok(());
        }
        // v1 updates the state only when it is read.
        for _ in 0..6000 {
            let frozen = match self.v1 {
                true => content(&self.directory, file)? == "FROZEN",
                false => content(&self.directory, "cgroup.events")?.contains("frozen 1"),
            };
            if frozen {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        crate::check::fail("the cgroup is not frozen in time")
    }
}

fn rejected(rig: &Rig, freezer: &Freezer, path: &str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun wait until it is thawed");
    }
    freezer.set(true)?;
    let before = cgroups(&rig.cgroup);
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{path}"));
    bundle.verbs(&[]);
    let file = freezer.directory.join(if freezer.v1 { "freezer.state" } else { "cgroup.freeze" });
    // The path as mounted in the layout of the test.
    let file = match unified(rig) {
        true => file.display().to_string().replace("/unified/", "/"),
        false => file.display().to_string(),
    };
    for verb in ["run", "create"] {
        let output = run(&mut rig.launch(verb, &bundle, &[])?, "")?;
        rig.failure(&output, &[&format!("cgroup /{path}: processes cannot run in it: frozen by {file}")])?;
        same("cgroups", cgroups(&rig.cgroup), before.clone())?;
    }
    freezer.set(false)?;
    rig.run(&bundle, &[])?.success()?;
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn frozen_cgroup_above_is_rejected(rig: &mut Rig) -> Outcome {
    let freezer = Freezer::of(rig, &rig.cgroup);
    for directory in [freezer.directory.clone(), freezer.directory.join("between")] {
        fs::create_dir(directory)?;
    }
    rejected(rig, &freezer, &format!("{}/between/leaf", rig.cgroup))
}

/// With the hybrid layout, the v2 freezer is effective, too.
fn frozen_cgroup_above_of_the_other_version_is_rejected(rig: &mut Rig) -> Outcome {
    if unified(rig) || rig.layout != Layout::Machine {
        return skip_allowed("this layout has only one version");
    }
    let freezer = Freezer::at(rig, false, &rig.cgroup);
    fs::create_dir(&freezer.directory)?;
    rejected(rig, &freezer, &format!("{}/leaf", rig.cgroup))
}

fn frozen_existing_cgroup_is_rejected(rig: &mut Rig) -> Outcome {
    let freezer = Freezer::of(rig, &rig.cgroup);
    fs::create_dir(&freezer.directory)?;
    rejected(rig, &freezer, &rig.cgroup)
}

/// A container in a cgroup below one of the test.
fn below(rig: &Rig) -> Outcome<(Running, Freezer)> {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
    let running = rig.waiting(&mut bundle)?;
    Ok((running, Freezer::of(rig, &rig.cgroup)))
}

fn frozen_above_after_start_is_paused(rig: &mut Rig) -> Outcome {
    let (_running, above) = below(rig)?;
    above.set(true)?;
    if rig.is(Runtime::Mote) {
        rig.status_is("paused")?;
        let output = rig.mote(&["exec", &rig.id, "/payload"])?;
        same("exit code", output.code(), 255)?;
        contains("the error", &output.stderr, "it is paused")?;
        rig.failure(&rig.mote(&["resume", &rig.id])?, &["the cgroups above", "frozen by"])?;
        rig.status_is("paused")?;
    }
    above.set(false)?;
    rig.status_is("running")?;
    rig.mote(&["exec", &rig.id, "/payload"])?.success()?;
    rig.delete()?;
    remove_cgroups(&rig.cgroup);
    Ok(())
}

/// On v1, a process in a cgroup that another program has frozen does not exit on SIGKILL.
fn frozen_above_after_start_and_deleted(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun retry for a long time");
    }
    let (_running, above) = below(rig)?;
    let init = sys::pidfd(rig.pid()?)?;
    above.set(true)?;
    if above.v1 {
        let output = rig.mote(&["delete", "--force", &rig.id])?;
        rig.failure(
            &output,
            &["its processes were killed and exit when it is thawed: frozen by", "freezer.state"],
        )?;
        rig.status_is("paused")?;
        above.set(false)?;
    }
    rig.delete()?;
    holds("the init has exited", sys::readable(&init, std::time::Duration::ZERO)?)?;
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn paused_before_the_start(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["pause", &rig.id])?.success()?;
    if !rig.is(Runtime::Crun) {
        rig.status_is("paused")?;
        rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id, "paused"])?;
        rig.failure(&rig.mote(&["delete", &rig.id])?, &[&rig.id, "paused"])?;
    }
    rig.mote(&["resume", &rig.id])?.success()?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    rig.delete()
}

/// A container with four processes, and pidfds of them.
fn container_of_four(rig: &Rig) -> Outcome<(Running, Vec<OwnedFd>)> {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let all = processes("MOTE_LIVE", &rig.marker);
    same("processes", all.len(), 4)?;
    Ok((running, all.into_iter().map(sys::pidfd).collect::<std::io::Result<_>>()?))
}

fn all_exit(all: &[OwnedFd]) -> Outcome {
    all.iter().try_for_each(|one| holds("each process exits", sys::readable(one, LIMIT)?))
}

/// On v1, a frozen process does not receive SIGKILL.
fn paused_and_killed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let running = rig.waiting(&mut bundle)?;
    let init = sys::pidfd(rig.pid()?)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    all_exit(&[init])?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    drop(running);
    Ok(())
}

fn paused_and_all_killed(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.mote(&["kill", "--all", &rig.id, "KILL"])?.success()?;
    all_exit(&all)?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn paused_and_deleted_by_force(rig: &mut Rig) -> Outcome {
    let (_running, all) = container_of_four(rig)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.delete()?;
    all_exit(&all)
}

/// The same, with one process in a cgroup below that is frozen separately, as by a container runtime inside the
/// container.
fn with_one_below(rig: &Rig) -> Outcome<(Running, Vec<OwnedFd>)> {
    let (running, all) = container_of_four(rig)?;
    let own = Freezer::of(rig, &rig.cgroup);
    let below = Freezer { directory: own.directory.join("below"), ..own };
    fs::create_dir(&below.directory)?;
    let init = rig.pid()?;
    let child = processes("MOTE_LIVE", &rig.marker).into_iter().find(|pid| *pid != init);
    fs::write(below.directory.join("cgroup.procs"), child.unwrap_or_default().to_string())?;
    below.set(true)?;
    Ok((running, all))
}

fn frozen_below_and_all_killed(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun leave it frozen on v1");
    }
    let (_running, all) = with_one_below(rig)?;
    rig.mote(&["kill", "--all", &rig.id, "KILL"])?.success()?;
    all_exit(&all)?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn frozen_below_and_deleted_by_force(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun leave it frozen on v1");
    }
    let (_running, all) = with_one_below(rig)?;
    rig.delete()?;
    all_exit(&all)
}

/// A process that was moved into the container's cgroup is killed with the others.
fn frozen_with_a_process_of_another_program(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "2"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let mut other = start(&mut rig.host(&["wait", "2"]), false)?;
    other.lines.until("waiting=1")?;
    let end = sys::pidfd(other.pid())?;
    for directory in cgroups(&rig.cgroup) {
        fs::write(directory.join("cgroup.procs"), other.pid().to_string())?;
    }
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.mote(&["kill", "--all", &rig.id, "USR1"])?.success()?;
    rig.mote(&["resume", &rig.id])?.success()?;
    same("the other process's output", other.lines.next()?.as_str(), "signal=10")?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.delete()?;
    all_exit(&[end])
}
