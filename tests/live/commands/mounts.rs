//! `mounts add` and `mounts remove`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::command::Output;
use crate::json;
use crate::json::Json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::rootfs::is_not_on_initramfs;
use crate::tests;

tests![
    "commands",
    mounts_added_and_removed,
    mounts_added_in_a_user_namespace,
    mounts_with_mapped_owners,
    mounts_are_added_all_or_none,
    mounts_over_the_root_are_rejected,
    mounts_of_namespaces_are_rejected,
    mounts_are_removed_without_links,
    mounts_with_invalid_input_is_rejected,
];

/// Starts a container that waits, optionally in a user namespace.
fn container(rig: &Rig, user_namespace: bool) -> Outcome<Bundle> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc has no such command, and crun's is experimental");
    }
    // Without it, a mount cannot get its options before processes of the container see it.
    rig.needs_mount_setattr()?;
    let mut bundle = rig.bundle()?;
    if user_namespace {
        bundle.user_namespace(100_000);
        // Its root may not create mount points in an image that belongs to the host's root.
        for file in ["/added/here/.keep", "/file", "/scratch/.keep"] {
            bundle.file(file, "")?;
        }
    }
    rig.waiting(&mut bundle)?;
    Ok(bundle)
}

fn mounts(rig: &Rig, verb: &str, list: &Json) -> Outcome<Output> {
    let file = rig.dir.join("mounts.json");
    fs::write(&file, list.to_string())?;
    rig.mote(&["mounts", verb, &rig.id, &file.display().to_string()])
}

fn inside(rig: &Rig, verbs: &[&str]) -> Outcome<Report> {
    Ok(rig.mote(&[&["exec", &rig.id, "/payload"], verbs].concat())?.success()?.report())
}

/// A directory of the host with a file in it.
fn volume(rig: &Rig) -> Outcome<String> {
    let volume = rig.dir.join("volume");
    fs::create_dir(&volume)?;
    fs::write(volume.join("file"), "of the host")?;
    Ok(volume.display().to_string())
}

fn added_and_removed(rig: &Rig, user_namespace: bool) -> Outcome {
    container(rig, user_namespace)?;
    let volume = volume(rig)?;
    let file = format!("{volume}/file");
    let list = json!([
        {"destination": "/added/here", "type": "bind", "source": (volume.as_str()), "options": ["rbind", "ro", "nosuid"]},
        {"destination": "/file", "type": "bind", "source": (file.as_str()), "options": ["bind"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "mode=755", "noexec"]},
        {"destination": "/scratch/below", "type": "tmpfs", "source": "tmpfs"}
    ]);
    mounts(rig, "add", &list)?.success()?;
    let verbs = [
        "read",
        "/added/here/file",
        "read",
        "/file",
        "mkdir",
        "/added/here/x",
        "mkdir",
        "/scratch/x",
        "mounts",
    ];
    let report = inside(rig, &verbs)?;
    report.is("read:/added/here/file", "of the host")?;
    report.is("read:/file", "of the host")?;
    report.is("mkdir:/added/here/x", "!EROFS")?;
    report.is("mkdir:/scratch/x", "ok")?;
    report.mount_has("/added/here", &["ro", "nosuid"])?;
    report.mount_has("/scratch", &["noexec", "size=64k"])?;
    report.mount_has("/scratch/below", &["rw"])?;
    mounts(rig, "remove", &list)?.success()?;
    let report = inside(rig, &["read", "/added/here/file", "read", "/file", "mounts"])?;
    report.is("read:/added/here/file", "!ENOENT")?;
    report.is("read:/file", "")?;
    for place in ["/added/here", "/file", "/scratch"] {
        same(place, report.get(&format!("mount:{place}")), "(not reported)")?;
    }
    rig.delete()
}

fn mounts_added_and_removed(rig: &mut Rig) -> Outcome {
    added_and_removed(rig, false)
}

fn mounts_added_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    added_and_removed(rig, true)
}

/// Mounts with the mapping of the container's user namespace, and with others.
fn mounts_with_mapped_owners(rig: &mut Rig) -> Outcome {
    is_not_on_initramfs(rig)?;
    container(rig, true)?;
    let volume = volume(rig)?;
    let mount = |place: &str, option: &str| json!({"destination": place, "source": (volume.as_str()), "options": ["bind", (option)]});
    let list = Json::List(vec![
        mount("/added/here", "idmap"),
        mount("/scratch", "idmap=uids=0-100004-1;gids=@0-5-1"),
    ]);
    mounts(rig, "add", &list)?.success()?;
    let report = inside(rig, &["stat", "/added/here/file", "stat", "/scratch/file"])?;
    report.is("stat:/added/here/file", "f 644 0 0 0:0")?;
    report.is("stat:/scratch/file", "f 644 4 5 0:0")?;
    rig.delete()
}

fn mounts_are_added_all_or_none(rig: &mut Rig) -> Outcome {
    container(rig, false)?;
    let volume = volume(rig)?;
    let valid =
        json!({"destination": "/added", "type": "bind", "source": (volume.as_str()), "options": ["bind"]});
    for (invalid, words) in [
        (
            json!({"destination": "/payload/x", "type": "tmpfs", "source": "tmpfs"}),
            ["mounts[1] /payload/x", "not a directory"],
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/none", "options": ["bind"]}),
            ["mounts[1]", "/none"],
        ),
        (json!({"destination": "/x", "type": "nofs", "source": "nofs"}), ["mounts[1] /x", "no such device"]),
    ] {
        let list = Json::List(vec![valid.clone(), invalid]);
        mounts(rig, "add", &list)?.failure(&words)?;
        same("the first", inside(rig, &["mounts"])?.get("mount:/added"), "(not reported)")?;
    }
    rig.delete()
}

/// The processes of the container keep their root, which is below such a mount.
fn mounts_over_the_root_are_rejected(rig: &mut Rig) -> Outcome {
    container(rig, false)?;
    let list = json!([{"destination": "/..", "type": "tmpfs", "source": "tmpfs"}]);
    mounts(rig, "add", &list)?.failure(&["mounts[0] /..", "over the root"])?;
    mounts(rig, "remove", &json!([{"destination": "/"}]))?.failure(&["mounts[0] /"])?;
    rig.delete()
}

/// A procfs mounted by mote would show the processes of the host.
fn mounts_of_namespaces_are_rejected(rig: &mut Rig) -> Outcome {
    container(rig, false)?;
    for kind in ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"] {
        let list = json!([{"destination": "/x", "type": (kind), "source": (kind)}]);
        mounts(rig, "add", &list)?.failure(&["mounts[0] /x", kind, "cannot be added"])?;
    }
    rig.delete()
}

/// A symlink that the container creates in the path must not redirect umount to a mount that hides a file.
fn mounts_are_removed_without_links(rig: &mut Rig) -> Outcome {
    let bundle = container(rig, false)?;
    symlink("/proc", bundle.host_path("lead"))?;
    let list = json!([{"destination": "/lead/timer_list"}]);
    mounts(rig, "remove", &list)?.failure(&["mounts[0] /lead/timer_list", "RESOLVE_NO_SYMLINKS"])?;
    symlink("/proc/timer_list", bundle.host_path("last"))?;
    mounts(rig, "remove", &json!([{"destination": "/last"}]))?.failure(&["mounts[0] /last", "umount2"])?;
    mounts(rig, "remove", &json!([{"destination": "/payload"}]))?
        .failure(&["mounts[0] /payload", "umount2"])?;
    rig.delete()
}

fn mounts_with_invalid_input_is_rejected(rig: &mut Rig) -> Outcome {
    container(rig, false)?;
    rig.usage_error(&rig.mote(&["mounts", "turn", &rig.id, "x"])?, "neither add nor remove")?;
    rig.mote(&["mounts", "add", &rig.id])?.failure(&["is missing"])?;
    rig.mote(&["mounts", "add", &rig.id, "/none/file"])?.failure(&["/none/file"])?;
    rig.mote(&["mounts", "add", "nobody", "/none/file"])?.failure(&["does not exist"])?;
    mounts(rig, "add", &json!({"destination": "/x"}))?.failure(&["mounts.json:1:1"])?;
    mounts(rig, "add", &json!([{"source": "/x"}]))?.failure(&["[0]: destination is missing"])?;
    rig.kill_init()?;
    mounts(rig, "add", &json!([]))?.failure(&["container not running"])?;
    rig.delete()
}
