//! `linux.maskedPaths` and `linux.readonlyPaths` (config-linux.md, "Masked Paths" and "Readonly Paths").

use std::fs;

use crate::check::{Outcome, different};
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "rootfs",
    masked_file_reads_empty,
    masked_directory_is_empty_and_read_only,
    masked_directories_are_no_shared_writable_directory,
    masked_path_that_is_missing,
    readonly_path_cannot_be_written,
    readonly_directory_with_a_writable_mount_below,
    readonly_path_that_is_missing,
    readonly_keeps_other_mount_options,
    masks_in_a_user_namespace,
];

fn masked_file_reads_empty(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/secret", "secret")?;
    bundle.set("linux.maskedPaths", json!(["/etc/secret", "/proc/timer_list"]));
    let verbs = ["read", "/etc/secret", "read", "/proc/timer_list", "stat", "/etc/secret"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("read:/etc/secret", "")?;
    inside.is("read:/proc/timer_list", "")?;
    inside.is("stat:/etc/secret", "c 666 0 0 1:3")
}

fn masked_directory_is_empty_and_read_only(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/dir/secret", "secret")?;
    bundle.set("linux.maskedPaths", json!(["/etc/dir"]));
    let inside = rig.report(&mut bundle, &["list", "/etc/dir", "create", "/etc/dir/new"])?;
    inside.is("list:/etc/dir", "")?;
    inside.is("create:/etc/dir/new", "!EROFS")
}

/// Masks may share one tmpfs, but nothing can be written to it.
fn masked_directories_are_no_shared_writable_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/one/x", "")?;
    bundle.file("/etc/two/x", "")?;
    bundle.set("linux.maskedPaths", json!(["/etc/one", "/etc/two"]));
    let inside = rig.report(&mut bundle, &["mkdir", "/etc/one/new", "mkdir", "/etc/two/new"])?;
    inside.is("mkdir:/etc/one/new", "!EROFS")?;
    inside.is("mkdir:/etc/two/new", "!EROFS")
}

fn masked_path_that_is_missing(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.maskedPaths", json!(["/etc/nothing", "/no/such/place"]));
    let inside = rig.report(&mut bundle, &["stat", "/etc/nothing", "stat", "/no"])?;
    inside.is("stat:/etc/nothing", "!ENOENT")?;
    inside.is("stat:/no", "!ENOENT")
}

fn readonly_path_cannot_be_written(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/kept/file", "kept")?;
    bundle.file("/etc/single", "kept")?;
    bundle.set("linux.readonlyPaths", json!(["/etc/kept", "/etc/single", "/proc/sys"]));
    let hostname = "/proc/sys/kernel/hostname";
    let verbs = ["write", "/etc/kept/file", "write", "/etc/single", "write", hostname, "create", "/etc/free"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("write:/etc/kept/file", "!EROFS")?;
    inside.is("write:/etc/single", "!EROFS")?;
    inside.is("write:/proc/sys/kernel/hostname", "!EROFS")?;
    inside.is("create:/etc/free", "ok")
}

/// The bind mount is recursive: mounts below the path stay visible.
fn readonly_directory_with_a_writable_mount_below(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/etc/kept/below", "type": "tmpfs", "source": "tmpfs"}));
    bundle.set("linux.readonlyPaths", json!(["/etc/kept"]));
    let verbs = ["create", "/etc/kept/new", "create", "/etc/kept/below/new", "mounts"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("create:/etc/kept/new", "!EROFS")?;
    different("the mount below", inside.get("mount:/etc/kept/below"), "(not reported)")
}

fn readonly_path_that_is_missing(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.readonlyPaths", json!(["/etc/nothing", "/no/such/place"]));
    rig.report(&mut bundle, &["stat", "/no"])?.is("stat:/no", "!ENOENT")
}

fn readonly_keeps_other_mount_options(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let options = json!(["nosuid", "nodev", "noexec"]);
    let mount = json!({"destination": "/kept", "type": "tmpfs", "source": "tmpfs", "options": options});
    bundle.mount(mount);
    bundle.set("linux.readonlyPaths", json!(["/kept"]));
    let inside = rig.report(&mut bundle, &["mounts"])?;
    inside.mount_has("/kept", &["ro", "nosuid", "nodev", "noexec"])
}

fn masks_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.file("/etc/dir/secret", "secret")?;
    bundle.file("/etc/secret", "secret")?;
    fs::create_dir(bundle.host_path("etc/kept"))?;
    std::os::unix::fs::chown(bundle.host_path("etc/kept"), Some(100_000), Some(100_000))?;
    bundle.set("linux.maskedPaths", json!(["/etc/dir", "/etc/secret"]));
    bundle.set("linux.readonlyPaths", json!(["/etc/kept", "/proc/sys"]));
    let verbs = ["list", "/etc/dir", "read", "/etc/secret", "create", "/etc/kept/new"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("list:/etc/dir", "")?;
    inside.is("read:/etc/secret", "")?;
    inside.is("create:/etc/kept/new", "!EROFS")
}
