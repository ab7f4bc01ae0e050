//! Containers without a mount namespace: the root is changed by chroot(2), and nothing is mounted or created on the host.

use std::fs;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, lacks, same, skip, skip_allowed};
use crate::json;
use crate::namespaces::on_host;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootfs",
    shared_mounts,
    shared_mounts_in_a_user_namespace,
    shared_mounts_and_the_root_of_the_host,
    shared_mounts_and_exec,
    shared_mounts_and_a_root_that_is_a_file,
    detached_mounts,
    detached_mounts_on_older_kernels_are_rejected,
    detached_mounts_by_mount_are_rejected,
    detached_mounts_in_a_user_namespace_are_rejected,
];

fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip("others make the mounts on the host") }
}

/// A bundle without a mount namespace and the settings that need one.
fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("mount");
    for field in ["mounts", "linux.maskedPaths", "linux.readonlyPaths"] {
        bundle.remove(field);
    }
    Ok(bundle)
}

fn shared_mounts(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let before = names(rig, &bundle)?;
    let inside =
        rig.report(&mut bundle, &["list", "/", "list", "/..", "list", "/dev", "cwd", "create", "/tmp/new"])?;
    for path in ["/", "/.."] {
        inside.is(&format!("list:{path}"), &before)?;
    }
    inside.is("list:/dev", "")?;
    inside.is("cwd", "/")?;
    inside.is("create:/tmp/new", "ok")?;
    same("the file on the host", bundle.host_path("tmp/new").exists(), true)?;
    same("names in the root on the host", names(rig, &bundle)?, before)?;
    rig.nothing_left()
}

/// The names in the container's root, as the payload lists them.
fn names(rig: &Rig, bundle: &Bundle) -> Outcome<String> {
    let root = bundle.host_path("").display().to_string();
    let report = on_host(rig, &["list", &root])?;
    Ok(report.get(&format!("list:{root}")).to_string())
}

fn shared_mounts_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.user_namespace(100_000);
    let before = names(rig, &bundle)?;
    let inside = rig.report(&mut bundle, &["list", "/", "id", "create", "/new"])?;
    inside.is("list:/", &before)?;
    inside.is("uid", "0 0 0")?;
    inside.is("create:/new", "!EACCES")
}

/// For services that only need limits: the container sees everything that the host does.
fn shared_mounts_and_the_root_of_the_host(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let payload = rig.suite.payload.display().to_string();
    bundle.set("root.path", "/");
    bundle.set("process.args", json!([payload, "ns", "list", "/"]));
    let inside = rig.run(&bundle, &[])?.success()?.report();
    let host = on_host(rig, &["ns", "list", "/"])?;
    for key in ["ns:mnt", "list:/"] {
        inside.is(key, host.get(key))?;
    }
    rig.nothing_left()
}

fn shared_mounts_and_exec(rig: &mut Rig) -> Outcome {
    for user_namespace in [false, true] {
        let mut bundle = bundle(rig)?;
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        let before = names(rig, &bundle)?;
        bundle.verbs(&["wait", "1"]);
        let created = rig.create(&bundle, &[])?;
        for started in [false, true] {
            if started {
                rig.mote(&["start", &rig.id])?.success()?;
            }
            let output = rig.mote(&["exec", &rig.id, "/payload", "list", "/", "list", "/.."])?.success()?;
            for path in ["/", "/.."] {
                output.report().is(&format!("list:{path}"), &before)?;
            }
        }
        rig.mote(&["delete", "--force", &rig.id])?.success()?;
        drop(created);
    }
    rig.nothing_left()
}

/// The mounts of the configuration are attached to a detached copy of the root.
fn detached_mounts(rig: &mut Rig) -> Outcome {
    has_detached_roots(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("mount");
    bundle.bind(&source, "/data", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/tmp/new", "type": "tmpfs", "options": ["mode=751"]}));
    bundle.set("root.readonly", true);
    let look = [
        "ns",
        "list",
        "/proc/self/fd",
        "stat",
        "/dev/null",
        "read",
        "/data/file",
        "create",
        "/data/new",
        "stat",
        "/tmp/new",
        "create",
        "/new",
        "read",
        "/proc/timer_list",
        "write",
        "/proc/sys/kernel/hostname",
        "list",
        "/..",
        "list",
        "/sys/firmware",
    ];
    bundle.verbs(&[&look[..], &["say", "ready", "wait", "1"]].concat());
    let before = fs::read_to_string("/proc/self/mountinfo")?;
    let mut running = rig.spawn(&bundle, &[])?;
    let report = running.lines.until("say=ready")?;
    let words = [&["exec", &rig.id, "/payload"], &look[..]].concat();
    let exec = rig.mote(&words)?.success()?.report();
    for inside in [&report, &exec] {
        inside.is("ns:mnt", on_host(rig, &["ns"])?.get("ns:mnt"))?;
        inside.is("list:/..", "data dev etc payload proc sys tmp")?;
        inside.is("stat:/dev/null", "c 666 0 0 1:3")?;
        inside.is("read:/data/file", "from the host")?;
        inside.is("create:/data/new", "!EROFS")?;
        inside.is("stat:/tmp/new", "d 751 0 0 0:0")?;
        inside.is("create:/new", "!EROFS")?;
        inside.is("read:/proc/timer_list", "")?;
        inside.is("write:/proc/sys/kernel/hostname", "!EROFS")?;
        inside.is("list:/sys/firmware", "")?;
    }
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    running.status().map(drop)?;
    let place = bundle.host_path("").display().to_string();
    let now = fs::read_to_string("/proc/self/mountinfo")?;
    for table in [before, now] {
        lacks("the mounts of the host", &table, &place)?;
    }
    rig.nothing_left()
}

fn has_detached_roots(rig: &Rig) -> Outcome {
    only_mote(rig)?;
    rig.needs_kernel((6, 15), "mounts in detached trees")
}

fn detached_mounts_on_older_kernels_are_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    if sys::kernel() >= (6, 15) {
        return skip_allowed("this kernel has mounts in detached trees");
    }
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("mount");
    bundle.verbs(&["say", "here"]);
    rig.rejected(&bundle, &["mounts[0] /proc", "needs linux 6.15"])
}

/// mount(2) would mount on the host.
fn detached_mounts_by_mount_are_rejected(rig: &mut Rig) -> Outcome {
    has_detached_roots(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("mount");
    bundle.mount(json!({"destination": "/tmp", "type": "tmpfs", "options": ["iversion"]}));
    bundle.verbs(&["say", "here"]);
    rig.rejected(&bundle, &["mounts[6] /tmp", "mount namespace"])
}

fn detached_mounts_in_a_user_namespace_are_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let tmpfs = json!([{"destination": "/tmp", "type": "tmpfs"}]);
    for (field, value) in [
        ("mounts", tmpfs),
        ("root.readonly", json!(true)),
        ("linux.devices", json!([{"path": "/dev/one", "type": "c", "major": 1i64, "minor": 3i64}])),
        ("linux.maskedPaths", json!(["/etc"])),
        ("linux.readonlyPaths", json!(["/etc"])),
        ("linux.rootfsPropagation", json!("rslave")),
    ] {
        let mut bundle = bundle(rig)?;
        bundle.user_namespace(100_000);
        bundle.set(field, value);
        bundle.verbs(&["list", "/"]);
        rig.rejected(&bundle, &[field, "needs a mount namespace"])?;
    }
    Ok(())
}

fn shared_mounts_and_a_root_that_is_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("root.path", "config.json");
    bundle.verbs(&["list", "/"]);
    let output = rig.run(&bundle, &[])?;
    contains("the error", &output.stderr, "root.path: openat")?;
    rig.rejected(&bundle, &["root.path", "not a directory"])
}
