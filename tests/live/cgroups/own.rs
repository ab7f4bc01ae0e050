//! Containers without a path whose caller may not make cgroups at the root: they are in the part of the tree that the
//! caller was given.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{chief, is_v1, path_of, says, unified, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, lacks, same, skip_allowed};
use crate::cleanup::remove_cgroups;
use crate::command::{Output, Running, run, start};
use crate::json;
use crate::rig::{Layout, Runtime, Rig};
use crate::rootless::{USER, user_namespace_bundle, as_ordinary_user};
use crate::{sys, tests_in_layouts};

tests_in_layouts![
    own_part_beside_the_callers_cgroup,
    own_part_below_the_callers_cgroup,
    own_part_of_root_in_a_user_namespace,
    own_part_with_a_limit,
    own_part_below_with_a_limit,
    own_part_is_entered_from_within_alone,
    own_part_that_is_not_given,
];

/// The tops of all hierarchies that the runtime sees.
fn tops(rig: &Rig) -> Outcome<Vec<PathBuf>> {
    if unified(rig) {
        return Ok(vec![unified_top()]);
    }
    let mut tops = Vec::new();
    for entry in fs::read_dir("/sys/fs/cgroup")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let hidden = rig.layout == Layout::V1 && name == "unified";
        if is_v1(&name) && !path.is_symlink() && !hidden {
            tops.push(path);
        }
    }
    Ok(tops)
}

/// A cgroup of the host, ready to take processes.
fn make(directory: &Path) -> Outcome {
    fs::create_dir(directory)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let above = directory.with_file_name(file);
        // On v1 a new one has none; on v2 there is nothing to be copied at the root.
        if let (true, Ok(text)) = (directory.join("tasks").exists(), fs::read_to_string(above)) {
            fs::write(directory.join(file), text)?;
        }
    }
    Ok(())
}

/// Gives a cgroup away, for others to be made in it (cgroups(7), "Cgroups delegation").
fn give(directory: &Path) -> Outcome {
    for name in ["", "cgroup.procs", "tasks", "cgroup.subtree_control"] {
        let path = directory.join(name);
        if path.exists() {
            sys::chown(&path, USER, USER)?;
        }
    }
    Ok(())
}

/// The rig of an ordinary user, called from the cgroup `own` below another; who was given which of them is said.
fn prepare(rig: &mut Rig, above: bool, own: bool) -> Outcome<Bundle> {
    as_ordinary_user(rig)?;
    if !rig.is(Runtime::Mote) && !unified(rig) {
        return skip_allowed("runc and crun have none there");
    }
    for top in tops(rig)? {
        let directory = top.join(&rig.cgroup);
        make(&directory)?;
        make(&directory.join("own"))?;
        for (directory, is_given) in [(directory.clone(), above), (directory.join("own"), own)] {
            if is_given {
                give(&directory)?;
            }
        }
    }
    user_namespace_bundle(rig)
}

/// Has a command begin in the caller's cgroup.
fn inside(rig: &Rig, command: &mut Command) -> Outcome {
    let files: Vec<PathBuf> =
        tops(rig)?.into_iter().map(|top| top.join(&rig.cgroup).join("own/cgroup.procs")).collect();
    sys::before_exec(command, move || files.iter().try_for_each(|file| fs::write(file, "0")));
    Ok(())
}

/// The runtime, called from there.
fn call(rig: &Rig, words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(&rig.suite.runtime);
    command.arg("--root").arg(&rig.state).args(&rig.globals).args(words).env("MOTE_LIVE", &rig.marker);
    inside(rig, &mut command)?;
    rig.prepare(&mut command);
    Ok(command)
}

fn launch(rig: &Rig, verb: &str, bundle: &Bundle) -> Outcome<Command> {
    bundle.write()?;
    call(rig, &[verb, "--bundle", &bundle.dir.display().to_string(), &rig.id])
}

fn waiting(rig: &Rig, bundle: &mut Bundle) -> Outcome<Running> {
    bundle.verbs(&["wait", "1"]);
    let mut running = start(&mut launch(rig, "create", bundle)?, false)?;
    let (status, errors) = running.status()?;
    same("create", (status.code(), errors.as_str()), (Some(0), ""))?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    Ok(running)
}

/// In all hierarchies, with what a cgroup is good for, and gone at the end.
fn lives_in(rig: &Rig, mut bundle: Bundle, above: &str) -> Outcome {
    let path = format!("{above}/{}", rig.id);
    let mut running = waiting(rig, &mut bundle)?;
    let pid = rig.pid()?;
    for top in tops(rig)? {
        let directory = top.join(path.trim_start_matches('/'));
        same(&format!("{}", directory.display()), says(&directory, "cgroup.procs")?, pid.to_string())?;
    }
    let inside = run(&mut call(rig, &["exec", &rig.id, "/payload", "cgroup"])?, "")?.success()?.report();
    inside.is(&format!("cgroup:{}", chief(rig)), &path)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    rig.mote(&["resume", &rig.id])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()?;
    drop(running);
    gone(rig, &path)
}

fn gone(rig: &Rig, path: &str) -> Outcome {
    for top in tops(rig)? {
        let directory = top.join(path.trim_start_matches('/'));
        holds(&format!("{} is gone", directory.display()), !directory.exists())?;
    }
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn own_part_beside_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    let bundle = prepare(rig, true, true)?;
    lives_in(rig, bundle, &format!("/{}", rig.cgroup))
}

fn own_part_below_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun look beside it alone");
    }
    let bundle = prepare(rig, false, true)?;
    lives_in(rig, bundle, &format!("/{}/own", rig.cgroup))
}

/// As rootless podman calls it.
fn own_part_of_root_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, true, true)?;
    bundle.set("linux.uidMappings[0].hostID", 0i64);
    bundle.set("linux.gidMappings[0].hostID", 0i64);
    bundle.set("annotations.\"run.oci.keep_original_groups\"", "1");
    bundle.verbs(&["cgroup"]);
    let launched = launch(rig, "run", &bundle)?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(launched.get_program()).args(launched.get_args());
    command.env("MOTE_LIVE", &rig.marker);
    inside(rig, &mut command)?;
    rig.prepare(&mut command);
    let path = format!("/{}/{}", rig.cgroup, rig.id);
    run(&mut command, "")?.success()?.report().is(&format!("cgroup:{}", chief(rig)), &path)?;
    gone(rig, &path)
}

/// A limit of what this layout has, and the file that it is in.
fn limited(rig: &Rig, bundle: &mut Bundle) -> Outcome<&'static str> {
    if !unified(rig) {
        bundle.set("linux.resources.pids.limit", 77i64);
        return Ok("pids.max");
    }
    let controllers = says(&unified_top(), "cgroup.controllers")?;
    match controllers.split_whitespace().find(|name| ["pids", "hugetlb"].contains(name)) {
        Some("pids") => {
            bundle.set("linux.resources.pids.limit", 77i64);
            Ok("pids.max")
        }
        Some(_) if fs::exists("/sys/kernel/mm/hugepages/hugepages-2048kB")? => {
            let limit = json!([{"pageSize": "2MB", "limit": 4194304i64}]);
            bundle.set("linux.resources.hugepageLimits", limit);
            Ok("hugetlb.2MB.max")
        }
        _ => skip_allowed("no controller in this layout"),
    }
}

/// The controllers of v2 are handed down to the part that was given away by who gives it.
fn hand_down(rig: &Rig) -> Outcome {
    if unified(rig) {
        let top = unified_top();
        for name in ["pids", "hugetlb"] {
            if says(&top, "cgroup.controllers")?.split_whitespace().any(|one| one == name) {
                fs::write(top.join("cgroup.subtree_control"), format!("+{name}"))?;
            }
        }
    }
    Ok(())
}

fn own_part_with_a_limit(rig: &mut Rig) -> Outcome {
    hand_down(rig)?;
    let mut bundle = prepare(rig, true, true)?;
    let file = limited(rig, &mut bundle)?;
    let running = waiting(rig, &mut bundle)?;
    let top = if unified(rig) { unified_top() } else { "/sys/fs/cgroup/pids".into() };
    let directory = top.join(&rig.cgroup).join(&rig.id);
    let want = if file == "pids.max" { "77" } else { "4194304" };
    same(file, says(&directory, file)?.as_str(), want)?;
    same("its owner", fs::metadata(&directory)?.uid(), USER)?;
    rig.delete()?;
    drop(running);
    gone(rig, &format!("/{}/{}", rig.cgroup, rig.id))
}

/// The caller is in the cgroup that would have to hand the controller down, which v2 does not allow.
fn own_part_below_with_a_limit(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun look beside it alone");
    }
    hand_down(rig)?;
    let mut bundle = prepare(rig, false, true)?;
    if unified(rig) {
        for name in ["pids", "hugetlb"] {
            let control = unified_top().join(&rig.cgroup).join("cgroup.subtree_control");
            if says(&unified_top().join(&rig.cgroup), "cgroup.controllers")?.contains(name) {
                fs::write(control, format!("+{name}"))?;
            }
        }
    }
    let file = limited(rig, &mut bundle)?;
    bundle.verbs(&[]);
    let output = run(&mut launch(rig, "run", &bundle)?, "")?;
    match file {
        "hugetlb.2MB.max" => {
            let own = format!("linux.resources.hugepageLimits[0]: cgroup /{}/own ", rig.cgroup);
            rig.failure(&output, &[&own, "contains processes"])?;
        }
        // One for threads: they may be in it.
        _ => drop(output.success()?),
    }
    gone(rig, &format!("/{}/own/{}", rig.cgroup, rig.id))
}

/// A process that is elsewhere may not be sent there, which has to be said.
fn own_part_is_entered_from_within_alone(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, true, true)?;
    let running = waiting(rig, &mut bundle)?;
    let output = rig.mote(&["exec", &rig.id, "/payload", "say", "here"])?;
    match rig.layout {
        Layout::V1 => output.success()?.report().is("say", "here")?,
        _ => exec_refused(rig, &output)?,
    }
    rig.delete()?;
    drop(running);
    gone(rig, &format!("/{}/{}", rig.cgroup, rig.id))
}

fn exec_refused(rig: &Rig, output: &Output) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return Ok(());
    }
    same("exit code", output.code(), 255)?;
    let from = path_of(std::process::id().cast_signed(), "")?;
    let path = format!("/{}/{}", rig.cgroup, rig.id);
    contains("the error", &output.stderr, &format!("cgroup {path}"))?;
    contains("the error", &output.stderr, &format!("from cgroup {from}"))
}

/// Nothing is demanded, so the container does without, which is said to who wants to hear it.
fn own_part_that_is_not_given(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, false, false)?;
    bundle.verbs(&["cgroup"]);
    let own = format!("/{}/own", rig.cgroup);
    let key = format!("cgroup:{}", chief(rig));
    run(&mut launch(rig, "run", &bundle)?, "")?.success()?.report().is(&key, &own)?;
    if rig.is(Runtime::Mote) {
        let log = rig.dir.join("log");
        for (level, logged) in [("error", false), ("warning", true)] {
            rig.globals =
                ["--log-level", level, "--log", &log.display().to_string()].map(String::from).into();
            let output = run(&mut launch(rig, "run", &bundle)?, "")?;
            same("exit code", output.code(), 0)?;
            let text = fs::read_to_string(&log)?;
            let test = if logged { contains } else { lacks };
            test("the log", &text, "warning: the container has no cgroup: cgroup ")?;
            lacks("the standard error", &output.stderr, "the container has no cgroup")?;
        }
        rig.globals.clear();
    }
    gone(rig, &format!("{own}/{}", rig.id))
}
