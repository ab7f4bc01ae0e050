//! Containers without a mount namespace: the root is changed by chroot(2), and nothing is mounted or created.

use std::fs;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same};
use crate::json;
use crate::namespaces::on_host;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "rootfs",
    shared_mounts,
    shared_mounts_in_a_user_namespace,
    shared_mounts_and_the_root_of_the_host,
    shared_mounts_and_exec,
    shared_mounts_reject_settings_that_change_the_host,
    shared_mounts_and_a_root_that_is_a_file,
];

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

fn shared_mounts_reject_settings_that_change_the_host(rig: &mut Rig) -> Outcome {
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
        bundle.set(field, value);
        bundle.verbs(&["list", "/"]);
        if rig.is(Runtime::Mote) {
            rig.rejected(&bundle, &[field, "mount namespace"])?;
        }
    }
    same("names in /tmp", fs::read_dir(rig.bundle()?.host_path("tmp"))?.count(), 0)
}

fn shared_mounts_and_a_root_that_is_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("root.path", "config.json");
    bundle.verbs(&["list", "/"]);
    let output = rig.run(&bundle, &[])?;
    contains("the error", &output.stderr, "root.path: openat")?;
    rig.rejected(&bundle, &["root.path", "not a directory"])
}
