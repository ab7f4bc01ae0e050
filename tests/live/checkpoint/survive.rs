//! What survives: processes, files, filters.

use std::fs;

use super::{container, cycle, dump, needs_criu, restore, signal};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, same};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "checkpoint",
    memory_threads_and_files,
    another_bundle_and_id,
    leave_running,
    paused_container,
    process_tree,
    seccomp_filter,
    file_lock,
    fifty_cycles,
];

/// Checks the state of the verb `survive` after its n-th signal.
pub fn survives(rig: &Rig, running: &mut crate::command::Running, count: u32) -> Outcome {
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), format!("state={count} true {count}").as_str())
}

fn memory_threads_and_files(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    survives(rig, &mut running, 1)?;
    let pid = rig.pid()?;
    for count in 2..4 {
        running = cycle(rig, &bundle, (&[], &[]))?;
        survives(rig, &mut running, count)?;
    }
    different("the PID", rig.pid()?, pid)?;
    rig.status_is("running")?;
    rig.delete()?;
    rig.nothing_left()
}

fn another_bundle_and_id(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    survives(rig, &mut running, 1)?;
    dump(rig, &[])?.success()?;
    let mut other = rig.bundle()?;
    fs::remove_dir_all(other.dir.join("rootfs"))?;
    fs::rename(bundle.dir.join("rootfs"), other.dir.join("moved"))?;
    other.config = bundle.config;
    other.set("root.path", "moved");
    let name = format!("/{}-other", rig.cgroup);
    other.set("linux.cgroupsPath", name.as_str());
    let id = format!("{}-other", rig.id);
    let old = std::mem::replace(&mut rig.id, id);
    let mut running = restore(rig, &other, &[])?;
    survives(rig, &mut running, 2)?;
    let state = rig.state()?;
    same("the bundle", state.at("bundle").text(), other.dir.display().to_string().as_str())?;
    contains("the cgroup", &fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?, &name)?;
    let mut again = rig.command(&["state", &old]);
    contains("the error", &crate::command::run(&mut again, "")?.stderr, "does not exist")?;
    rig.delete()
}

fn leave_running(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &["--leave-running"])?.success()?;
    rig.status_is("running")?;
    survives(rig, &mut running, 1)?;
    rig.delete()?;
    // The file is as it was when the container was dumped.
    fs::write(bundle.host_path("tmp/file"), "")?;
    let mut running = restore(rig, &bundle, &[])?;
    survives(rig, &mut running, 1)?;
    rig.delete()
}

/// A paused container can be dumped. It remains paused if it continues, and runs when it is restored.
fn paused_container(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    rig.mote(&["pause", &rig.id])?.success()?;
    dump(rig, &["--leave-running"])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    survives(rig, &mut running, 1)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    rig.status_is("running")?;
    survives(rig, &mut running, 2)?;
    rig.delete()
}

fn process_tree(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["fork", "5", "survive", "/tmp/file"])?;
    let before = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let after = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
    let count = |list: &str| list.split(',').count();
    same("the number of processes", count(&after), count(&before))?;
    same("the number of processes", count(&after), 6)?;
    rig.delete()
}

/// Runs a verb in the restored container.
pub fn inside(rig: &Rig, verbs: &[&str]) -> Outcome<crate::report::Report> {
    let mut words = vec!["exec", rig.id.as_str(), "/payload"];
    words.extend(verbs);
    Ok(rig.mote(&words)?.success()?.report())
}

fn seccomp_filter(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set(
        "linux.seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": (vec!["mkdir", "mkdirat"]), "action": "SCMP_ACT_ERRNO", "errnoRet": 13i64}
        ]}),
    );
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let status = fs::read_to_string(format!("/proc/{}/status", rig.pid()?))?;
    contains("the status", &status, "Seccomp:\t2")?;
    inside(rig, &["mkdir", "/tmp/new"])?.is("mkdir:/tmp/new", "!EACCES")?;
    rig.delete()
}

fn file_lock(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["lock", "/tmp/locked"])?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "second=!EAGAIN")?;
    dump(rig, &[])?.failure(&["criu: dump failed"])?;
    rig.status_is("running")?;
    let mut running = cycle(rig, &bundle, (&["--file-locks"], &["--file-locks"]))?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "second=!EAGAIN")?;
    rig.delete()
}

fn fifty_cycles(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle: Bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    for count in 1..=50 {
        running = cycle(rig, &bundle, (&[], &[]))?;
        survives(rig, &mut running, count)?;
    }
    drop(running);
    rig.delete()?;
    rig.nothing_left()
}
