//! `linux.namespaces` with `path`: namespaces of a process on the host are joined (config-linux.md, "Namespaces";
//! setns(2)).

use std::fs;
use std::path::{Path, PathBuf};

use super::{holder, needs_time, on_host};
use crate::check::{Outcome, contains, different, skip_allowed};
use crate::command::Running;
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootfs::is_not_on_initramfs;
use crate::{sys, tests};

tests![
    "namespaces",
    join_pid,
    join_network,
    join_mount,
    join_ipc,
    join_uts,
    join_cgroup,
    join_time,
    join_user,
    join_user_with_an_idmapped_mount,
    join_by_a_pinned_file,
    join_user_and_the_network_it_owns,
    join_the_hosts_network_in_a_new_user_namespace,
    join_user_with_a_new_pid_namespace,
    join_of_another_kind_is_rejected,
    join_of_a_file_that_is_no_namespace_is_rejected,
    join_of_a_missing_path_is_rejected,
    join_by_a_relative_path_is_rejected,
];

pub fn proc_path(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/{file}"))
}

/// Starts a process that creates namespaces; returns it, and the PID of a process in all of them.
fn namespaces_of_a_process(rig: &Rig, files: &str) -> Outcome<(Running, i32)> {
    let (running, report) = holder(rig, &["unshare", files, "child"])?;
    report.is("unshare", "ok")?;
    let pid = report.get("child").parse()?;
    Ok((running, pid))
}

fn joined_by_path(rig: &Rig, kind: &str, file: &str) -> Outcome {
    let (_holder, pid) = namespaces_of_a_process(rig, file)?;
    let mut bundle = rig.bundle()?;
    let path = proc_path(pid, file);
    bundle.namespace(kind, Some(&path));
    let inside = rig.report(&mut bundle, &["ns"])?;
    let key = format!("ns:{file}");
    inside.is(&key, &fs::read_link(&path)?.display().to_string())?;
    different(&key, inside.get(&key), on_host(rig, &["ns"])?.get(&key))
}

fn join_pid(rig: &mut Rig) -> Outcome {
    joined_by_path(rig, "pid", "pid")
}

fn join_network(rig: &mut Rig) -> Outcome {
    joined_by_path(rig, "network", "net")
}

/// Which root a joined mount namespace shows is not specified; the payload exists at the same path in both.
fn join_mount(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = namespaces_of_a_process(rig, "mnt")?;
    let mut bundle = rig.bundle()?;
    let path = proc_path(pid, "mnt");
    bundle.namespace("mount", Some(&path));
    let program = rig.suite.payload.display().to_string();
    let inside = bundle.host_path(&program);
    fs::create_dir_all(inside.parent().unwrap_or(&inside))?;
    fs::hard_link(&rig.suite.payload, &inside)?;
    bundle.set("process.args", vec![program.as_str(), "ns"]);
    let report = rig.run(&bundle, &[])?.success()?.report();
    report.is("ns:mnt", &fs::read_link(&path)?.display().to_string())
}

fn join_ipc(rig: &mut Rig) -> Outcome {
    joined_by_path(rig, "ipc", "ipc")
}

fn join_uts(rig: &mut Rig) -> Outcome {
    joined_by_path(rig, "uts", "uts")
}

fn join_cgroup(rig: &mut Rig) -> Outcome {
    joined_by_path(rig, "cgroup", "cgroup")
}

fn join_time(rig: &mut Rig) -> Outcome {
    needs_time(rig)?;
    joined_by_path(rig, "time", "time")
}

/// Creates a user namespace with mappings, and executes `then` in it, such as creating other namespaces that it owns.
pub fn user_namespace_of_a_process(rig: &Rig, then: &[&str]) -> Outcome<(Running, i32)> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc demands mappings even for an existing user namespace");
    }
    let mut words = vec!["unshare", "user", "say", "unshared", "line"];
    words.extend(then);
    words.extend(["child", "say", "held", "stdin"]);
    let mut running = crate::command::start(&mut rig.host(&words), true)?;
    running.lines.until("say=unshared")?;
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", running.pid()), "0 100000 1000\n")?;
    }
    running.write("go\n")?;
    let report = running.lines.until("say=held")?;
    let pid = report.get("child").parse()?;
    Ok((running, pid))
}

fn join_user(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let mut bundle = rig.bundle()?;
    let path = proc_path(pid, "user");
    bundle.namespace("user", Some(&path));
    let inside = rig.report(&mut bundle, &["ns", "id", "read", "/proc/self/uid_map"])?;
    inside.is("ns:user", &fs::read_link(&path)?.display().to_string())?;
    inside.is("uid", "0 0 0")?;
    let map: Vec<&str> = inside.get("read:/proc/self/uid_map").split_whitespace().collect();
    crate::check::same("the map", map, vec!["0", "100000", "1000"])
}

/// The mapping is that of the namespace, whatever the configuration has.
fn join_user_with_an_idmapped_mount(rig: &mut Rig) -> Outcome {
    rig.needs_mount_setattr()?;
    is_not_on_initramfs(rig)?;
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let volume = rig.dir.join("volume");
    fs::create_dir(&volume)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(5000);
    bundle.namespace("user", Some(&proc_path(pid, "user")));
    bundle.bind(&volume, "/tmp/data", &["bind", "idmap"]);
    rig.report(&mut bundle, &["stat", "/tmp/data"])?.is("stat:/tmp/data", "d 755 0 0 0:0")
}

fn join_by_a_pinned_file(rig: &mut Rig) -> Outcome {
    let (holder, pid) = namespaces_of_a_process(rig, "net,ipc,uts")?;
    let mut bundle = rig.bundle()?;
    let mut want = Vec::new();
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let pin = rig.dir.join(file);
        fs::write(&pin, "")?;
        let path = proc_path(pid, file);
        want.push((format!("ns:{file}"), fs::read_link(&path)?));
        sys::mount(&path.display().to_string(), &pin, "", libc::MS_BIND, "")?;
        bundle.namespace(kind, Some(&pin));
    }
    drop(holder);
    let inside = rig.report(&mut bundle, &["ns"])?;
    for file in ["net", "ipc", "uts"] {
        sys::umount(&rig.dir.join(file))?;
    }
    want.iter().try_for_each(|(key, link)| inside.is(key, &link.display().to_string()))
}

/// Only a process in the user namespace may join the network namespace that it owns and mount its sysfs.
fn join_user_and_the_network_it_owns(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &["unshare", "net"])?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("network", Some(&proc_path(pid, "net")));
    bundle.namespace("user", Some(&proc_path(pid, "user")));
    let inside = rig.report(&mut bundle, &["ns", "list", "/sys/class/net"])?;
    for file in ["net", "user"] {
        let link = fs::read_link(proc_path(pid, file))?;
        inside.is(&format!("ns:{file}"), &link.display().to_string())?;
    }
    inside.is("list:/sys/class/net", "lo")
}

/// The host's network namespace can only be joined before the new user namespace is created.
fn join_the_hosts_network_in_a_new_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = namespaces_of_a_process(rig, "net")?;
    let mut bundle = rig.bundle()?;
    let path = proc_path(pid, "net");
    bundle.user_namespace(100_000);
    bundle.namespace("network", Some(&path));
    let verbs = ["ns", "id", "mounts"];
    let inside = rig.report(&mut bundle, &verbs)?;
    // Only the owner of the network namespace may mount its sysfs; a read-only one is bind-mounted from the host.
    contains("the mountinfo line", inside.get("mount:/sys"), " - sysfs ")?;
    inside.mount_has("/sys", &["ro", "nosuid", "noexec", "nodev"])?;
    for below in inside.keys("mount:/sys/") {
        inside.mount_has(&format!("/sys/{below}"), &["ro"])?;
    }
    inside.is("ns:net", &fs::read_link(&path)?.display().to_string())?;
    // A writable one is not replaced by a bind mount.
    bundle.set("mounts[5].options", json!(["nosuid", "noexec", "nodev"]));
    rig.rejected(&bundle, &["mounts[5] /sys", "not permitted"])?;
    let host = on_host(rig, &["ns"])?;
    different("ns:user", inside.get("ns:user"), host.get("ns:user"))
}

fn join_user_with_a_new_pid_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("user", Some(&proc_path(pid, "user")));
    bundle.namespace("pid", None);
    let inside = rig.report(&mut bundle, &["ns", "id"])?;
    inside.is("pid", "1")?;
    let link = fs::read_link(proc_path(pid, "user"))?;
    inside.is("ns:user", &link.display().to_string())
}

/// Checks that a namespace path is rejected, with the name of the field.
fn path_is_rejected(rig: &Rig, kind: &str, path: &Path) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["ns"]);
    bundle.namespace(kind, Some(path));
    rig.rejected(&bundle, &["linux.namespaces[4].path"])
}

fn join_of_another_kind_is_rejected(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = namespaces_of_a_process(rig, "net")?;
    path_is_rejected(rig, "ipc", &proc_path(pid, "net"))
}

fn join_of_a_file_that_is_no_namespace_is_rejected(rig: &mut Rig) -> Outcome {
    path_is_rejected(rig, "ipc", &rig.suite.payload)
}

fn join_of_a_missing_path_is_rejected(rig: &mut Rig) -> Outcome {
    path_is_rejected(rig, "uts", Path::new("/proc/0/ns/uts"))
}

fn join_by_a_relative_path_is_rejected(rig: &mut Rig) -> Outcome {
    path_is_rejected(rig, "ipc", Path::new("../../proc/self/ns/ipc"))
}
