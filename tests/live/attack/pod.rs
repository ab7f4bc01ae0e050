//! Containers that share namespaces, as those of a pod do: one must not get at the runtime while it puts another,
//! or another process, beside it.

use std::fs;
use std::path::PathBuf;

use super::{allow, asks_mote_alone, second, until};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds, same, skip_allowed};
use crate::command::{LIMIT, Running, run, start};
use crate::rig::{Runtime, Rig};
use crate::{sys, tests};

tests![
    "attack",
    runtime_is_out_of_reach_in_a_pod,
    runtime_is_out_of_reach_in_a_pods_pid_namespace,
    runtime_is_out_of_reach_while_it_joins,
    joined_process_is_known_by_its_number_on_the_host,
    joined_process_gives_its_exit_status,
    joined_process_is_killed_and_no_bystander,
    joined_process_inherits_no_capabilities,
    runtime_is_not_run_as_the_joined_program,
];

/// How often a container is started beside the one that watches for it.
const STARTS: u32 = 50;

/// In a user namespace of its own, with the right to look into its processes.
fn watcher(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    for capability in ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"] {
        allow(&mut bundle, capability);
    }
    bundle.verbs(&["pry"]);
    Ok(bundle)
}

/// Puts a container into namespaces of a process: the user's, and those that are its.
fn join(bundle: &mut Bundle, pid: i32) {
    for (kind, file) in [("user", "user"), ("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
    {
        bundle.namespace(kind, Some(&PathBuf::from(format!("/proc/{pid}/ns/{file}"))));
    }
    bundle.remove("hostname");
}

/// Ends the watcher: it has looked, and was let in nowhere.
fn saw_nothing(mut watcher: Running) -> Outcome {
    watcher.write("enough\n")?;
    let report = watcher.finish()?.success()?.report();
    different("looks", report.get("looks"), "0")?;
    let mut ways = report.keys("pried:");
    ways.sort_unstable();
    ways.dedup();
    same("access to the runtime", ways.join(" ").as_str(), "")
}

/// CVE-2016-9962: before its program runs, a process in shared namespaces still has the host's descriptors.
fn runtime_is_out_of_reach_in_a_pod(rig: &mut Rig) -> Outcome {
    shared(rig, STARTS, join)
}

/// The same with a user namespace that is new: the pid namespace alone is shared.
fn runtime_is_out_of_reach_in_a_pods_pid_namespace(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc would have both namespaces joined");
    }
    shared(rig, STARTS / 3, |bundle, pid| {
        bundle.namespace("pid", Some(&PathBuf::from(format!("/proc/{pid}/ns/pid"))));
        // The procfs of a pid namespace that another user namespace owns is not to be had.
        bundle.without_mount("/proc");
        bundle.set("linux.maskedPaths", Vec::<&str>::new());
        bundle.set("linux.readonlyPaths", Vec::<&str>::new());
    })
}

fn shared(rig: &mut Rig, starts: u32, put: impl FnOnce(&mut Bundle, i32)) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc wants maps even for a user namespace that is there");
    }
    let watching = until(rig, &watcher(rig)?, "prying=1")?;
    let pid = rig.pid()?;
    let (first, mut bundle) = second(rig)?;
    put(&mut bundle, pid);
    bundle.verbs(&["say", "here"]);
    // One that waits at its start for long, and those that pass by.
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
    saw_nothing(watching)
}

/// CVE-2016-9962 as it was found: `exec` is the way into a container that is watched from inside.
fn runtime_is_out_of_reach_while_it_joins(rig: &mut Rig) -> Outcome {
    let mut watching = until(rig, &watcher(rig)?, "prying=1")?;
    for _ in 0..STARTS {
        let output = rig.mote(&["exec", &rig.id, "/payload", "say", "here"])?.success()?;
        output.report().is("say", "here")?;
    }
    // The joining processes are there for moments only: they may have been missed.
    watching.write("enough\n")?;
    let report = watching.finish()?.success()?.report();
    same("access to the runtime", report.keys("pried:").join(" ").as_str(), "")
}

/// The first container's process waits; the second's is put into its namespaces.
fn pair(rig: &mut Rig) -> Outcome<(Running, i32, String, Bundle)> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc wants maps even for a user namespace that is there");
    }
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    let running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let (first, mut bundle) = second(rig)?;
    join(&mut bundle, pid);
    Ok((running, pid, first, bundle))
}

/// The intermediate process that joins a user namespace sees other numbers than the host does.
fn joined_process_is_known_by_its_number_on_the_host(rig: &mut Rig) -> Outcome {
    let (_first, one, id, mut bundle) = pair(rig)?;
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
    contains("its status", &status, &format!("NSpid:\t{two}\t{}\n", inside.get("pid")))?;
    contains("its program", &fs::read_to_string(format!("/proc/{two}/cmdline"))?, "/payload\0id\0wait")?;
    rig.mote(&["kill", &rig.id, "TERM"])?.success()?;
    same("the payload's output", created.lines.next()?.as_str(), "signal=15")?;
    rig.delete()?;
    rig.id = id;
    rig.status_is("running")?;
    rig.delete()
}

fn joined_process_gives_its_exit_status(rig: &mut Rig) -> Outcome {
    let (_first, _, id, mut bundle) = pair(rig)?;
    bundle.verbs(&["say", "here", "exit", "7"]);
    let output = rig.run(&bundle, &[])?;
    output.report().is("say", "here")?;
    same("exit code", output.code(), 7)?;
    rig.id = id;
    rig.delete()
}

/// The process's number inside is that of somebody else on the host.
fn joined_process_is_killed_and_no_bystander(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc wants maps even for a user namespace that is there");
    }
    let bystanders: Vec<Running> =
        (0..6).map(|_| start(&mut rig.host(&["wait", "1"]), false)).collect::<Outcome<_>>()?;
    let first = bystanders.iter().map(Running::pid).min().unwrap_or_default();
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
    let is_taken = bystanders.iter().any(|one| one.pid() == inside);
    holds(&format!("{inside}, its number inside, is a bystander's"), is_taken)?;
    let process = sys::pidfd(rig.pid()?)?;
    rig.delete()?;
    holds("it ends", sys::readable(&process, LIMIT)?)?;
    for bystander in &bystanders {
        holds("the bystander lives", !bystander.has_ended()?)?;
    }
    rig.id = id;
    rig.delete()
}

/// CVE-2022-29162, CVE-2022-27650 (crun): neither the first process nor a joined one had asked for inheritable
/// capabilities, with which a file of the image could raise its own.
fn joined_process_inherits_no_capabilities(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
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

/// CVE-2019-5736: the link to whatever executes it, as the program of `exec`.
fn runtime_is_not_run_as_the_joined_program(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
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
