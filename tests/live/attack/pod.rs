//! Containers that share namespaces, as those of a pod do: the processes of one must not get access to the runtime
//! while it starts another one, or an exec process, in the same namespaces.

use std::fs;
use std::path::PathBuf;

use super::{allow, only_mote, second, until};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, run, start};
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "attack",
    runtime_is_inaccessible_from_a_pod,
    runtime_is_inaccessible_from_a_shared_pid_namespace,
    exec_process_is_inaccessible_before_execve,
    joined_process_is_reported_by_its_pid_on_the_host,
    exit_status_of_a_joined_process_is_returned,
    joined_process_is_killed_and_no_other,
    joined_process_inherits_no_capabilities,
    runtime_cannot_be_executed_by_exec,
];

/// The number of containers that are started while another one watches.
const STARTS: u32 = 50;

/// A container in a user namespace that tries to access all processes it sees, with the capabilities to do so.
fn watcher(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    for capability in ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"] {
        allow(&mut bundle, capability);
    }
    bundle.verbs(&["access_processes"]);
    Ok(bundle)
}

/// Sets the paths of a process's namespaces: the user namespace and those that it owns.
fn join(bundle: &mut Bundle, pid: i32) {
    for (kind, file) in [("user", "user"), ("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
    {
        bundle.namespace(kind, Some(&PathBuf::from(format!("/proc/{pid}/ns/{file}"))));
    }
    bundle.remove("hostname");
}

/// Ends the watcher, and checks that it looked at processes and got access to none.
fn saw_no_access(mut watcher: Running) -> Outcome {
    watcher.write("enough\n")?;
    let report = watcher.finish()?.success()?.report();
    different("looks", report.get("looks"), "0")?;
    let mut ways = report.keys("accessed:");
    ways.sort_unstable();
    ways.dedup();
    same("access to the runtime", ways.join(" ").as_str(), "")
}

/// CVE-2016-9962: before it executes its program, a process in shared namespaces still has file descriptors of the
/// host.
fn runtime_is_inaccessible_from_a_pod(rig: &mut Rig) -> Outcome {
    nothing_seen_in_shared_namespaces(rig, STARTS, join)
}

/// The same with a new user namespace: only the pid namespace is shared.
fn runtime_is_inaccessible_from_a_shared_pid_namespace(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc joins a pid namespace only together with its user namespace");
    }
    nothing_seen_in_shared_namespaces(rig, STARTS / 3, |bundle, pid| {
        bundle.namespace("pid", Some(&PathBuf::from(format!("/proc/{pid}/ns/pid"))));
        // A procfs of a pid namespace that another user namespace owns cannot be mounted.
        bundle.without_mount("/proc");
        bundle.set("linux.maskedPaths", Vec::<&str>::new());
        bundle.set("linux.readonlyPaths", Vec::<&str>::new());
    })
}

fn nothing_seen_in_shared_namespaces(
    rig: &mut Rig,
    starts: u32,
    put: impl FnOnce(&mut Bundle, i32),
) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc demands mappings even for an existing user namespace");
    }
    let watching = until(rig, &watcher(rig)?, "accessing=1")?;
    let pid = rig.pid()?;
    let (first, mut bundle) = second(rig)?;
    put(&mut bundle, pid);
    bundle.verbs(&["say", "here"]);
    // One container that waits for `start`, and others that only run briefly.
    let waiting = rig.create(&bundle, &[])?;
    let id = rig.id.clone();
    rig.id = format!("{first}-three");
    bundle.set("linux.cgroupsPath", format!("/{}-three", rig.cgroup));
    for _ in 0..starts {
        rig.run(&bundle, &[])?.success()?.report().is("say", "here")?;
    }
    rig.id = id;
    rig.delete()?;
    drop(waiting);
    rig.id = first;
    saw_no_access(watching)
}

/// CVE-2016-9962 as reported: `exec` in a container that watches.
fn exec_process_is_inaccessible_before_execve(rig: &mut Rig) -> Outcome {
    let mut watching = until(rig, &watcher(rig)?, "accessing=1")?;
    for _ in 0..STARTS {
        let output = rig.mote(&["exec", &rig.id, "/payload", "say", "here"])?.success()?;
        output.report().is("say", "here")?;
    }
    // The exec processes exist only briefly: the watcher may have missed all of them.
    watching.write("enough\n")?;
    let report = watching.finish()?.success()?.report();
    same("access to the runtime", report.keys("accessed:").join(" ").as_str(), "")
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

/// CVE-2022-29162, CVE-2022-27650 (crun): neither the container init nor an exec process has inheritable capabilities
/// that were not requested, as a file of the image could give itself those.
fn joined_process_inherits_no_capabilities(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["caps", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?.is("cap:inheritable", "")?;
    for words in [&[][..], &["--cap", "CAP_NET_RAW"]] {
        let words = [&["exec"], words, &[rig.id.as_str(), "/payload", "caps"]].concat();
        let output = run(&mut rig.command(&words), "")?;
        same("exit code", output.code(), 0)?;
        output.report().is("cap:inheritable", "")?;
    }
    rig.delete()
}

/// CVE-2019-5736: /proc/self/exe as the program of `exec`.
fn runtime_cannot_be_executed_by_exec(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    std::os::unix::fs::symlink("/proc/self/exe", bundle.host_path("program"))?;
    let _running = rig.waiting(&mut bundle)?;
    for program in ["/proc/self/exe", "/program"] {
        let output = rig.mote(&["exec", &rig.id, program, "--version"])?;
        same("the standard output", output.stdout.as_str(), "")?;
        different("exit code", output.code(), 0)?;
    }
    rig.delete()
}
