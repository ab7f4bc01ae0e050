//! Processes of a container that look at a process of the runtime in the same pid namespace: they get access to none,
//! and what they could see has no files of the host open.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use crate::attack::pod::join;
use crate::attack::{allow, only_mote, second, until};
use crate::bundle::Bundle;
use crate::check::{Outcome, different, holds, same, skip_allowed};
use crate::command::{Running, start};
use crate::exec::state::{freezer, joined};
use crate::exec::{command, container};
use crate::rig::{Rig, Runtime};
use crate::socket::{Socket, pid_of};
use crate::tests;

tests![
    "cve",
    cve_2016_9962_access_from_a_pod,
    cve_2016_9962_access_from_a_shared_pid_namespace,
    cve_2016_9962_access_to_an_exec_process,
    cve_2016_9962_files_of_an_exec_process,
    cve_2016_9962_files_of_an_exec_process_with_a_terminal,
    cve_2020_15257_socket_of_a_created_container,
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

/// CVE-2016-9962 (runc), CVE-2020-14300 (the same in an older docker of Red Hat): a process of the container with
/// CAP_SYS_PTRACE accessed a process of the runtime that joins its namespaces, before execve, and files of the host
/// through /proc/PID/fd. Here a container of a pod watches while another one is started with its namespaces.
/// Succeeds against mote if its processes are dumpable.
fn cve_2016_9962_access_from_a_pod(rig: &mut Rig) -> Outcome {
    nothing_seen_in_shared_namespaces(rig, STARTS, join)
}

/// The same with a new user namespace: only the pid namespace is shared. The kernel denies access to a process of
/// another user namespace, too.
fn cve_2016_9962_access_from_a_shared_pid_namespace(rig: &mut Rig) -> Outcome {
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

/// The attack as reported: `exec` in a container that watches. Succeeds against mote if its processes are dumpable.
fn cve_2016_9962_access_to_an_exec_process(rig: &mut Rig) -> Outcome {
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

/// What the exec process has open before execve, where a process of the container with CAP_SYS_PTRACE could use it: no
/// file or directory of the runtime or of its caller that the container cannot access itself.
fn nothing_of_the_host_is_open(rig: &mut Rig, options: &[&str]) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let Ok((file, frozen @ "FROZEN", thawed)) = freezer(rig) else {
        return skip_allowed("only on v1 is the cgroup joined after clone(2)");
    };
    let socket = Socket::new(rig, "pidfd")?;
    let host = fs::File::open(&rig.dir)?;
    fs::write(&file, frozen)?;
    let options = [&["--ignore-paused", "--pidfd-socket", &socket.path], options].concat();
    let mut exec = command(rig, &options, &["say", "ran"]);
    crate::sys::before_exec(&mut exec, move || crate::sys::duplicate_to(host.as_raw_fd(), 77));
    let running = start(&mut exec, false)?;
    let pid = pid_of(&socket.receive()?.0)?;
    joined(rig, pid)?;
    let mut seen = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let number: i32 = entry.file_name().to_string_lossy().parse()?;
        let what = fs::read_link(entry.path())?.display().to_string();
        // The files through which it joins its cgroup.
        let own = what.starts_with("/sys/fs/cgroup/")
            && what.contains(&rig.cgroup)
            && fs::metadata(entry.path())?.is_file();
        if number > 2 && what.starts_with('/') && !own && !what.starts_with("/memfd:") {
            seen.push(what);
        }
    }
    fs::write(&file, thawed)?;
    running.finish()?.success()?;
    rig.delete()?;
    same("open files of the host", seen, Vec::<String>::new())
}

/// CVE-2016-9962, CVE-2016-8649 (lxc-attach, with a file descriptor of the host's /proc): what an exec process has
/// open before execve, while it joins the cgroup, is nothing of the host. Succeeds against mote if `launch/exec.rs`
/// does not close file descriptors first.
fn cve_2016_9962_files_of_an_exec_process(rig: &mut Rig) -> Outcome {
    nothing_of_the_host_is_open(rig, &[])
}

fn cve_2016_9962_files_of_an_exec_process_with_a_terminal(rig: &mut Rig) -> Outcome {
    let socket = Socket::new(rig, "console")?;
    nothing_of_the_host_is_open(rig, &["--tty", "--console-socket", &socket.path, "--no-new-privs"])
}

/// CVE-2020-15257 (containerd): the shim listened at a socket with an abstract name, to which containers with the
/// host's network namespace could connect. What mote has of that kind is the start socket of a created container: it is
/// a file in the state directory, which other users cannot enter. runc and crun use a FIFO. Succeeds against mote with
/// an abstract name in `start_socket::listen`.
fn cve_2020_15257_socket_of_a_created_container(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("network");
    bundle.verbs(&["say", "ran"]);
    let _created = rig.create(&bundle, &[])?;
    let mut sockets = 0;
    let table = fs::read_to_string("/proc/net/unix")?;
    for entry in fs::read_dir(format!("/proc/{}/fd", rig.pid()?))? {
        let target = fs::read_link(entry?.path())?.display().to_string();
        let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) else {
            continue;
        };
        let line =
            table.lines().find(|line| line.split_whitespace().nth(6) == Some(inode)).unwrap_or_default();
        let name = line.split_whitespace().nth(7).unwrap_or_default();
        holds(&format!("{name:?} is not abstract"), !name.starts_with('@'))?;
        sockets += 1;
    }
    different("number of sockets", sockets, 0)?;
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(rig.state.join(&rig.id))?);
    same("permissions of other users for the state directory", mode & 0o077, 0)?;
    rig.delete()
}
