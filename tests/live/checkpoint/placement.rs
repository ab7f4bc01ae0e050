//! Namespaces and cgroups of restored containers.

use std::fs;
use std::path::Path;

use super::survive::{inside, survives};
use super::{container, cycle, dump, needs_criu, restore, signal};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, holds, same};
use crate::command::run;
use crate::json;
use crate::namespaces::holder;
use crate::namespaces::join::{proc_path, user_namespace_of_a_process};
use crate::namespaces::network::{host, ip, link};
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "checkpoint",
    user_namespace,
    joined_namespaces,
    joined_pid_namespace,
    joined_user_namespace_is_rejected,
    network_device,
    cgroup_with_limits,
    cgroup_of_another_path,
    systemd_scope,
    no_cgroup,
    exec_after_restore,
];

fn user_namespace(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    cycle_with_a_file(rig, &mut bundle)?;
    let map = fs::read_to_string(format!("/proc/{}/uid_map", rig.pid()?))?;
    same("uid_map", map.split_whitespace().collect::<Vec<_>>(), vec!["0", "100000", "1000"])?;
    let report = inside(rig, &["id", "stat", "/dev/null", "write", "/dev/null"])?;
    report.is("uid", "0 0 0")?;
    contains("the device", report.get("stat:/dev/null"), "c 666")?;
    rig.delete()
}

/// Restores a container whose streams are a file, with the mapping of a user namespace.
fn cycle_with_a_file(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    sys::chown(&bundle.host_path("tmp"), 100_000, 100_000)?;
    bundle.verbs(&["survive", "/tmp/file"]);
    // CRIU cannot dump a memfd whose owner is not mapped, such as the standard error of other tests.
    let output = rig.dir.join("output");
    let start = |mut command: std::process::Command| -> Outcome {
        let file = fs::OpenOptions::new().create(true).append(true).open(&output)?;
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status()?;
        let text = fs::read_to_string(&output)?;
        holds(&format!("the exit code is 0: {text}"), status.success())
    };
    start(rig.launch("run", bundle, &["--detach"])?)?;
    super::wait_for_line(&output, "waiting=1")?;
    dump(rig, &[])?.success()?;
    start(super::restore_command(rig, bundle, &["--detach"])?)?;
    signal(rig)?;
    super::wait_for_line(&output, "state=1 true 1")
}

/// It can be dumped, but not restored.
fn joined_user_namespace_is_rejected(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    bundle.user_namespace(100_000);
    bundle.namespace("user", Some(&proc_path(pid, "user")));
    fs::create_dir(super::images(rig))?;
    let failed = run(&mut super::restore_command(rig, &bundle, &["--detach"])?, "")?;
    failed.failure(&[
        "linux.namespaces: CRIU cannot restore a container in a user namespace that is given by path",
    ])?;
    rig.nothing_left()
}

/// A network namespace for the runtime with an interface `eth0`. CRIU needs lo.
fn with_device(rig: &mut Rig) -> Outcome {
    host(rig, &[])?;
    let network = rig.network.as_ref().ok_or("no network")?;
    ip(network, &["link set lo up"])?.success().map(drop)
}

/// An interface of the host that the dumped container has given back is moved into the restored one.
fn network_device(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    with_device(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.netDevices.eth0.name", "in0");
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    // A veth device is destroyed with the namespace, unlike one of hardware.
    with_device(rig)?;
    let mut running = restore(rig, &bundle, &[])?;
    survives(rig, &mut running, 1)?;
    let inside = fs::File::open(format!("/proc/{}/ns/net", rig.pid()?))?;
    link(&inside, "in0")?;
    rig.delete()
}

fn joined_namespaces(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "net,ipc,uts,time", "child"])?;
    report.is("unshare", "ok")?;
    let pid: i32 = report.get("child").parse()?;
    let mut bundle = rig.bundle()?;
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("time", "time")] {
        bundle.namespace(kind, Some(Path::new(&format!("/proc/{pid}/ns/{file}"))));
    }
    bundle.remove("hostname");
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    for file in ["net", "ipc", "uts", "time"] {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{file}"));
        same(file, of(rig.pid()?)?, of(pid)?)?;
    }
    for file in ["pid", "mnt"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{file}"));
        different(file, of(&rig.pid()?.to_string())?, of("self")?)?;
    }
    rig.delete()
}

fn joined_pid_namespace(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_holder, report) = holder(rig, &["unshare", "pid", "child"])?;
    report.is("unshare", "ok")?;
    let pid: i32 = report.get("child").parse()?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("pid", Some(Path::new(&format!("/proc/{pid}/ns/pid"))));
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    same("the pid namespace", of(rig.pid()?)?, of(pid)?)?;
    rig.delete()
}

/// The limits of the configuration are in force again, and the process is in its cgroup.
fn cgroup_with_limits(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", json!({"pids": {"limit": 17i64}, "memory": {"limit": 33_554_432i64}}));
    bundle.namespace("cgroup", None);
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": (vec!["ro"])}));
    for mode in ["soft", "full", "strict", "ignore"] {
        let options: &[&str] = &["--manage-cgroups-mode", mode];
        let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
        let before = host_options()?;
        holds(
            "systemd has set nsdelegate",
            !Path::new("/run/systemd/system").exists() || before.contains("nsdelegate"),
        )?;
        let mut running = cycle(rig, &bundle, (options, options))?;
        survives(rig, &mut running, 1)?;
        same("the options of the host's hierarchy", host_options()?, before)?;
        let report =
            inside(rig, &["cgroup", "read", "/sys/fs/cgroup/pids.max", "read", "/sys/fs/cgroup/memory.max"])?;
        report.is("read:/sys/fs/cgroup/pids.max", "17\n")?;
        report.is("read:/sys/fs/cgroup/memory.max", "33554432\n")?;
        let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
        contains("the cgroup", &own, &rig.cgroup)?;
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/cgroup"));
        different("the cgroup namespace", namespace(&rig.pid()?.to_string())?, namespace("self")?)?;
        rig.delete()?;
        rig.nothing_left()?;
        fs::remove_dir_all(super::images(rig))?;
    }
    Ok(())
}

/// The mount options of the host's cgroup v2 hierarchy.
fn host_options() -> Outcome<String> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let line = table.lines().find(|line| line.contains(" /sys/fs/cgroup ")).unwrap_or_default();
    Ok(line.rsplit(' ').next().unwrap_or_default().to_string())
}

fn cgroup_of_another_path(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    for mode in ["soft", "ignore"] {
        let options: &[&str] = &["--manage-cgroups-mode", mode];
        bundle.set("linux.cgroupsPath", format!("/{}", rig.cgroup));
        let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
        dump(rig, options)?.success()?;
        let other = format!("/{}-{mode}", rig.cgroup);
        bundle.set("linux.cgroupsPath", other.as_str());
        let mut running = restore(rig, &bundle, options)?;
        survives(rig, &mut running, 1)?;
        let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
        same("the cgroup", own.trim(), format!("0::{other}").as_str())?;
        rig.delete()?;
    }
    Ok(())
}

fn no_cgroup(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    rig.globals.extend(["--cgroup-manager".into(), "disabled".into()]);
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    bundle.namespace("cgroup", None);
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    let before = host_options()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    // The directory of the hierarchy that is mounted, as the host sees it.
    let root = |rig: &Rig| -> Outcome<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", rig.pid()?))?;
        let line = table.lines().find(|line| line.contains(" /sys/fs/cgroup ")).unwrap_or_default();
        Ok(line.split(' ').nth(3).unwrap_or_default().to_string())
    };
    let mounted = root(rig)?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    same("the options of the host's hierarchy", host_options()?, before)?;
    same("the mounted directory", root(rig)?, mounted)?;
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/cgroup"));
    different("the cgroup namespace", namespace(&rig.pid()?.to_string())?, namespace("self")?)?;
    rig.delete()
}

fn systemd_scope(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    if !Path::new("/run/systemd/system").exists() {
        return crate::check::skip_allowed("this machine has no systemd");
    }
    rig.globals.push("--systemd-cgroup".into());
    let mut bundle = rig.bundle()?;
    let scope = format!("system.slice:mote-test:{}", rig.id);
    bundle.set("linux.cgroupsPath", scope.as_str());
    bundle.set("linux.resources", json!({"pids": {"limit": 18i64}}));
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let own = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
    let path = own.trim().strip_prefix("0::").unwrap_or_default().to_string();
    contains("the cgroup", &path, &format!("mote-test-{}.scope", rig.id))?;
    same("pids.max", fs::read_to_string(format!("/sys/fs/cgroup{path}/pids.max"))?.trim(), "18")?;
    rig.delete()?;
    holds("the scope is gone", !Path::new(&format!("/sys/fs/cgroup{path}")).exists())
}

/// An exec process is in all namespaces of a restored container, also in the time namespace that CRIU has created.
fn exec_after_restore(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    let mut running = cycle(rig, &bundle, (&[], &[]))?;
    survives(rig, &mut running, 1)?;
    let report = inside(rig, &["ns"])?;
    for file in ["time", "pid", "mnt", "net", "ipc", "uts"] {
        let of_init = fs::read_link(format!("/proc/{}/ns/{file}", rig.pid()?))?;
        report.is(&format!("ns:{file}"), &of_init.display().to_string())?;
    }
    inside(rig, &["lo"])?.is("lo", "up")?;
    rig.delete()
}
