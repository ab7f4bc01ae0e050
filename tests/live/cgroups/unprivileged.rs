//! Containers without `cgroupsPath` whose caller may not create cgroups at the root: they are in the cgroup that is
//! delegated to the caller.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{content, is_v1, main_controller, path_of, unified, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, lacks, same, skip_allowed};
use crate::cleanup::remove_cgroups;
use crate::command::{Output, Running, run, start};
use crate::json;
use crate::rig::{Layout, Rig, Runtime};
use crate::rootless::{USER, as_ordinary_user, user_namespace_bundle};
use crate::{sys, tests_in_layouts};

tests_in_layouts![
    delegated_beside_the_callers_cgroup,
    delegated_below_the_callers_cgroup,
    delegated_to_root_of_a_user_namespace,
    delegated_with_a_limit,
    delegated_below_with_a_limit,
    delegated_is_not_joined_from_outside,
    not_delegated_runs_without_a_cgroup,
];

/// The mount points of all hierarchies that the runtime sees.
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

/// Creates a cgroup that accepts processes.
fn make(directory: &Path) -> Outcome {
    fs::create_dir(directory)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let above = directory.with_file_name(file);
        // On v1 a new cpuset is empty; on v2 the root has no files to copy.
        if let (true, Ok(text)) = (directory.join("tasks").exists(), fs::read_to_string(above)) {
            fs::write(directory.join(file), text)?;
        }
    }
    Ok(())
}

/// Delegates a cgroup to the user (cgroups(7), "Cgroups delegation").
fn delegate(directory: &Path) -> Outcome {
    for name in ["", "cgroup.procs", "tasks", "cgroup.subtree_control"] {
        let path = directory.join(name);
        if path.exists() {
            sys::chown(&path, USER, USER)?;
        }
    }
    Ok(())
}

/// Makes the rig an ordinary user whose cgroup is `own` below another one; either of them is delegated, or not.
fn prepare(rig: &mut Rig, above: bool, own: bool) -> Outcome<Bundle> {
    as_ordinary_user(rig)?;
    if !rig.is(Runtime::Mote) && !unified(rig) {
        return skip_allowed("runc and crun create no cgroup there");
    }
    for top in tops(rig)? {
        let directory = top.join(&rig.cgroup);
        make(&directory)?;
        make(&directory.join("own"))?;
        for (directory, is_delegated) in [(directory.clone(), above), (directory.join("own"), own)] {
            if is_delegated {
                delegate(&directory)?;
            }
        }
    }
    user_namespace_bundle(rig)
}

/// Moves a command into the caller's cgroup before it is executed.
fn join_callers_cgroup(rig: &Rig, command: &mut Command) -> Outcome {
    let files: Vec<PathBuf> =
        tops(rig)?.into_iter().map(|top| top.join(&rig.cgroup).join("own/cgroup.procs")).collect();
    sys::before_exec(command, move || files.iter().try_for_each(|file| fs::write(file, "0")));
    Ok(())
}

/// A command line of the runtime, run in the caller's cgroup.
fn call(rig: &Rig, words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(&rig.suite.runtime);
    command.arg("--root").arg(&rig.state).args(&rig.globals).args(words).env("MOTE_LIVE", &rig.marker);
    join_callers_cgroup(rig, &mut command)?;
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

/// Checks that the container's cgroup is below `above` in all hierarchies, that pause and kill work, and that it is
/// removed at the end.
fn runs_below(rig: &Rig, mut bundle: Bundle, above: &str) -> Outcome {
    let path = format!("{above}/{}", rig.id);
    let mut running = waiting(rig, &mut bundle)?;
    let pid = rig.pid()?;
    for top in tops(rig)? {
        let directory = top.join(path.trim_start_matches('/'));
        same(&format!("{}", directory.display()), content(&directory, "cgroup.procs")?, pid.to_string())?;
    }
    let join_callers_cgroup =
        run(&mut call(rig, &["exec", &rig.id, "/payload", "cgroup"])?, "")?.success()?.report();
    join_callers_cgroup.is(&format!("cgroup:{}", main_controller(rig)), &path)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    rig.mote(&["resume", &rig.id])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()?;
    drop(running);
    is_removed(rig, &path)
}

fn is_removed(rig: &Rig, path: &str) -> Outcome {
    for top in tops(rig)? {
        let directory = top.join(path.trim_start_matches('/'));
        holds(&format!("{} is removed", directory.display()), !directory.exists())?;
    }
    remove_cgroups(&rig.cgroup);
    Ok(())
}

fn delegated_beside_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    let bundle = prepare(rig, true, true)?;
    runs_below(rig, bundle, &format!("/{}", rig.cgroup))
}

fn delegated_below_the_callers_cgroup(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun only create it beside the caller's");
    }
    let bundle = prepare(rig, false, true)?;
    runs_below(rig, bundle, &format!("/{}/own", rig.cgroup))
}

/// As rootless podman.
fn delegated_to_root_of_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, true, true)?;
    bundle.set("linux.uidMappings[0].hostID", 0i64);
    bundle.set("linux.gidMappings[0].hostID", 0i64);
    bundle.set("annotations.\"run.oci.keep_original_groups\"", "1");
    bundle.verbs(&["cgroup"]);
    let launched = launch(rig, "run", &bundle)?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(launched.get_program()).args(launched.get_args());
    command.env("MOTE_LIVE", &rig.marker);
    join_callers_cgroup(rig, &mut command)?;
    rig.prepare(&mut command);
    let path = format!("/{}/{}", rig.cgroup, rig.id);
    run(&mut command, "")?.success()?.report().is(&format!("cgroup:{}", main_controller(rig)), &path)?;
    is_removed(rig, &path)
}

/// Sets a limit that this layout supports; returns the name of its file.
fn limited(rig: &Rig, bundle: &mut Bundle) -> Outcome<&'static str> {
    if !unified(rig) {
        bundle.set("linux.resources.pids.limit", 77i64);
        return Ok("pids.max");
    }
    let controllers = content(&unified_top(), "cgroup.controllers")?;
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

/// Enables the controllers of v2 for the cgroups below the root, as the administrator does.
fn enable_controllers(rig: &Rig) -> Outcome {
    if unified(rig) {
        let top = unified_top();
        for name in ["pids", "hugetlb"] {
            if content(&top, "cgroup.controllers")?.split_whitespace().any(|one| one == name) {
                fs::write(top.join("cgroup.subtree_control"), format!("+{name}"))?;
            }
        }
    }
    Ok(())
}

fn delegated_with_a_limit(rig: &mut Rig) -> Outcome {
    enable_controllers(rig)?;
    let mut bundle = prepare(rig, true, true)?;
    let file = limited(rig, &mut bundle)?;
    let running = waiting(rig, &mut bundle)?;
    let top = if unified(rig) { unified_top() } else { "/sys/fs/cgroup/pids".into() };
    let directory = top.join(&rig.cgroup).join(&rig.id);
    let want = if file == "pids.max" { "77" } else { "4194304" };
    same(file, content(&directory, file)?.as_str(), want)?;
    same("the owner", fs::metadata(&directory)?.uid(), USER)?;
    rig.delete()?;
    drop(running);
    is_removed(rig, &format!("/{}/{}", rig.cgroup, rig.id))
}

/// v2 does not let the caller enable a controller in the cgroup that the caller is in.
fn delegated_below_with_a_limit(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun only create it beside the caller's");
    }
    enable_controllers(rig)?;
    let mut bundle = prepare(rig, false, true)?;
    if unified(rig) {
        for name in ["pids", "hugetlb"] {
            let control = unified_top().join(&rig.cgroup).join("cgroup.subtree_control");
            if content(&unified_top().join(&rig.cgroup), "cgroup.controllers")?.contains(name) {
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
        // pids is a threaded controller, so the cgroup may contain processes.
        _ => drop(output.success()?),
    }
    is_removed(rig, &format!("/{}/own/{}", rig.cgroup, rig.id))
}

/// A process outside of the delegated subtree may not be moved into it: an error.
fn delegated_is_not_joined_from_outside(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, true, true)?;
    let running = waiting(rig, &mut bundle)?;
    let output = rig.mote(&["exec", &rig.id, "/payload", "say", "here"])?;
    match rig.layout {
        Layout::V1 => output.success()?.report().is("say", "here")?,
        _ => exec_fails(rig, &output)?,
    }
    rig.delete()?;
    drop(running);
    is_removed(rig, &format!("/{}/{}", rig.cgroup, rig.id))
}

fn exec_fails(rig: &Rig, output: &Output) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return Ok(());
    }
    same("exit code", output.code(), 255)?;
    let from = path_of(std::process::id().cast_signed(), "")?;
    let path = format!("/{}/{}", rig.cgroup, rig.id);
    contains("the error", &output.stderr, &format!("cgroup {path}"))?;
    contains("the error", &output.stderr, &format!("from cgroup {from}"))
}

/// If no limit is set, the container runs without a cgroup of its own, with a warning in the log.
fn not_delegated_runs_without_a_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = prepare(rig, false, false)?;
    bundle.verbs(&["cgroup"]);
    let own = format!("/{}/own", rig.cgroup);
    let key = format!("cgroup:{}", main_controller(rig));
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
    is_removed(rig, &format!("{own}/{}", rig.id))
}
