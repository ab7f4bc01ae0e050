//! Containers that share namespaces, as those of a pod do: the processes of one must not get access to the runtime
//! while it starts another one, or an exec process, in the same namespaces.

use std::fs;
use std::path::PathBuf;

use super::{allow, second};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, start};
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "attack",
    joined_process_is_reported_by_its_pid_on_the_host,
    exit_status_of_a_joined_process_is_returned,
    joined_process_is_killed_and_no_other,
];

/// Sets the paths of a process's namespaces: the user namespace and those that it owns.
pub fn join(bundle: &mut Bundle, pid: i32) {
    for (kind, file) in [("user", "user"), ("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
    {
        bundle.namespace(kind, Some(&PathBuf::from(format!("/proc/{pid}/ns/{file}"))));
    }
    bundle.remove("hostname");
}

/// A container that waits, and the bundle of a second one that joins its namespaces.
fn container_and_joining_bundle(rig: &mut Rig) -> Outcome<(Running, i32, String, Bundle)> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc demands mappings even for an existing user namespace");
    }
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    let running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let (first, mut bundle) = second(rig)?;
    join(&mut bundle, pid);
    Ok((running, pid, first, bundle))
}

/// The intermediate process that joins a user namespace sees other PIDs than the host.
fn joined_process_is_reported_by_its_pid_on_the_host(rig: &mut Rig) -> Outcome {
    let (_first, one, id, mut bundle) = container_and_joining_bundle(rig)?;
    bundle.verbs(&["id", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    let created_as = rig.pid()?;
    rig.mote(&["start", &rig.id])?.success()?;
    let inside = created.lines.until("waiting=1")?;
    let two = rig.pid()?;
    same("pid", two, created_as)?;
    different("pid", two, one)?;
    for file in ["user", "pid", "net"] {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{file}"));
        same(file, of(two)?, of(one)?)?;
    }
    let status = fs::read_to_string(format!("/proc/{two}/status"))?;
    contains("the status", &status, &format!("NSpid:\t{two}\t{}\n", inside.get("pid")))?;
    contains("the program", &fs::read_to_string(format!("/proc/{two}/cmdline"))?, "/payload\0id\0wait")?;
    rig.mote(&["kill", &rig.id, "TERM"])?.success()?;
    same("the payload's output", created.lines.next()?.as_str(), "signal=15")?;
    rig.delete()?;
    rig.id = id;
    rig.status_is("running")?;
    rig.delete()
}

fn exit_status_of_a_joined_process_is_returned(rig: &mut Rig) -> Outcome {
    let (_first, _, id, mut bundle) = container_and_joining_bundle(rig)?;
    bundle.verbs(&["say", "here", "exit", "7"]);
    let output = rig.run(&bundle, &[])?;
    output.report().is("say", "here")?;
    same("exit code", output.code(), 7)?;
    rig.id = id;
    rig.delete()
}

/// The PID of the process in its pid namespace is that of another process on the host.
fn joined_process_is_killed_and_no_other(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc demands mappings even for an existing user namespace");
    }
    let others: Vec<Running> =
        (0..6).map(|_| start(&mut rig.host(&["wait", "1"]), false)).collect::<Outcome<_>>()?;
    let first = others.iter().map(Running::pid).min().unwrap_or_default();
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    allow(&mut bundle, "CAP_SYS_ADMIN");
    bundle.set("linux.readonlyPaths", Vec::<&str>::new());
    let last = (first - 1).to_string();
    bundle.verbs(&["put", "/proc/sys/kernel/ns_last_pid", &last, "say", "ready", "wait", "1"]);
    let mut running = start(&mut rig.launch("run", &bundle, &[])?, true)?;
    running.lines.until("put:/proc/sys/kernel/ns_last_pid=ok")?;
    running.lines.until("waiting=1")?;
    let pid = rig.pid()?;
    let (id, mut bundle) = second(rig)?;
    join(&mut bundle, pid);
    bundle.verbs(&["id", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    let inside: i32 = created.lines.until("waiting=1")?.get("pid").parse()?;
    let is_taken = others.iter().any(|one| one.pid() == inside);
    holds(&format!("{inside}, the PID in the container, is another process on the host"), is_taken)?;
    let process = sys::pidfd(rig.pid()?)?;
    rig.delete()?;
    holds("the process exits", sys::readable(&process, LIMIT)?)?;
    for other in &others {
        holds("the other process still runs", !other.has_ended()?)?;
    }
    rig.id = id;
    rig.delete()
}
