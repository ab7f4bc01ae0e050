//! Default devices, and `linux.devices` (config-linux.md, "Devices" and "Default Devices").

use crate::check::{Outcome, contains};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootfs",
    default_devices,
    default_devices_work,
    default_links,
    default_devices_in_a_user_namespace,
    device_of_the_configuration,
    device_kinds,
    device_mode_ignores_the_umask,
    device_in_a_new_directory,
    device_outside_dev,
    device_with_trailing_slashes,
    devices_in_a_user_namespace,
    device_of_an_unmapped_owner,
    device_is_bind_mounted_if_mknod_is_denied,
    device_that_exists_in_the_image,
    device_mismatch_is_rejected,
    device_of_an_unknown_kind_is_rejected,
];

const DEFAULT: &[(&str, &str)] = &[
    ("null", "1:3"),
    ("zero", "1:5"),
    ("full", "1:7"),
    ("random", "1:8"),
    ("urandom", "1:9"),
    ("tty", "5:0"),
];

fn default_devices(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let paths: Vec<String> = DEFAULT.iter().map(|(name, _)| format!("/dev/{name}")).collect();
    let verbs: Vec<&str> = paths.iter().flat_map(|path| ["stat", path]).collect();
    let inside = rig.report(&mut bundle, &verbs)?;
    for (name, number) in DEFAULT {
        inside.is(&format!("stat:/dev/{name}"), &format!("c 666 0 0 {number}"))?;
    }
    Ok(())
}

fn default_devices_work(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let verbs = ["write", "/dev/null", "write", "/dev/full", "open", "/dev/urandom"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("write:/dev/null", "ok")?;
    inside.is("write:/dev/full", "!ENOSPC")?;
    inside.is("open:/dev/urandom", "ok")
}

fn default_links(rig: &mut Rig) -> Outcome {
    let links = [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ];
    let mut bundle = rig.bundle()?;
    let mut verbs: Vec<&str> = links.iter().flat_map(|(path, _)| ["link", path]).collect();
    let core = std::path::Path::new("/proc/kcore").exists();
    verbs.extend(["link", "/dev/core"]);
    let inside = rig.report(&mut bundle, &verbs)?;
    if core {
        inside.is("link:/dev/core", "/proc/kcore")?;
    }
    links.iter().try_for_each(|(path, target)| inside.is(&format!("link:{path}"), target))
}

/// In a user namespace, devices cannot be created: those of the host are bind-mounted.
fn default_devices_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    let verbs = ["stat", "/dev/null", "write", "/dev/null", "write", "/dev/full", "link", "/dev/fd"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("stat:/dev/null", "c 666 65534 65534 1:3")?;
    inside.is("write:/dev/null", "ok")?;
    inside.is("write:/dev/full", "!ENOSPC")?;
    inside.is("link:/dev/fd", "/proc/self/fd")
}

fn device(path: &str, kind: &str, major: i64, minor: i64) -> Json {
    json!({"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 0o640i64, "uid": 7i64, "gid": 8i64})
}

fn device_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.devices[+]", device("/dev/mine", "c", 1, 5));
    rig.report(&mut bundle, &["stat", "/dev/mine"])?.is("stat:/dev/mine", "c 640 7 8 1:5")
}

/// c and u are character devices, b is a block device, p is a FIFO without device numbers.
fn device_kinds(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.devices[+]", device("/dev/one", "u", 1, 5));
    bundle.set("linux.devices[+]", device("/dev/two", "b", 7, 200));
    let fifo = json!({"path": "/dev/three", "type": "p", "fileMode": 0o600i64});
    bundle.set("linux.devices[+]", fifo);
    let inside = rig.report(&mut bundle, &["stat", "/dev/one", "stat", "/dev/two", "stat", "/dev/three"])?;
    inside.is("stat:/dev/one", "c 640 7 8 1:5")?;
    inside.is("stat:/dev/two", "b 640 7 8 7:200")?;
    inside.is("stat:/dev/three", "p 600 0 0 0:0")
}

fn device_mode_ignores_the_umask(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.umask", 0o077i64);
    bundle.set("linux.devices[+]", device("/dev/mine", "c", 1, 5));
    bundle.set("linux.devices[0].fileMode", 0o666i64);
    rig.report(&mut bundle, &["stat", "/dev/mine"])?.is("stat:/dev/mine", "c 666 7 8 1:5")
}

fn device_in_a_new_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.devices[+]", device("/dev/net/one", "c", 10, 200));
    let inside = rig.report(&mut bundle, &["stat", "/dev/net", "stat", "/dev/net/one"])?;
    inside.is("stat:/dev/net", "d 755 0 0 0:0")?;
    inside.is("stat:/dev/net/one", "c 640 7 8 10:200")
}

fn device_outside_dev(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.devices[+]", device("/etc/mine", "c", 1, 5));
    rig.report(&mut bundle, &["stat", "/etc/mine"])?.is("stat:/etc/mine", "c 640 7 8 1:5")
}

fn device_with_trailing_slashes(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.devices[+]", device("/dev/mine//", "c", 1, 5));
    bundle.set("linux.devices[+]", device("/dev/zero/", "c", 1, 5));
    let inside = rig.report(&mut bundle, &["stat", "/dev/mine", "stat", "/dev/zero"])?;
    inside.is("stat:/dev/mine", "c 640 7 8 1:5")?;
    inside.is("stat:/dev/zero", "c 640 7 8 1:5")
}

/// In a user namespace, the parent creates the devices of the configuration, whatever the host has.
fn devices_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.devices[+]", device("/dev/one", "c", 1, 5));
    bundle.set("linux.devices[0].fileMode", 0o644i64);
    bundle.set("linux.devices[+]", device("/dev/new/two/", "b", 7, 200));
    bundle.set("linux.devices[+]", json!({"path": "/dev/three", "type": "p", "fileMode": 0o622i64}));
    bundle.set("linux.devices[+]", json!({"path": "/dev/null", "type": "c", "major": 1i64, "minor": 3i64}));
    let verbs = [
        "stat",
        "/dev/one",
        "open",
        "/dev/one",
        "stat",
        "/dev/new/two",
        "stat",
        "/dev/three",
        "stat",
        "/dev/null",
        "write",
        "/dev/null",
        "mounts",
    ];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("stat:/dev/one", "c 644 7 8 1:5")?;
    inside.is("open:/dev/one", "ok")?;
    inside.is("stat:/dev/new/two", "b 640 7 8 7:200")?;
    inside.is("stat:/dev/three", "p 622 0 0 0:0")?;
    inside.is("stat:/dev/null", "c 666 0 0 1:3")?;
    inside.is("write:/dev/null", "ok")?;
    inside.mount_has("/dev/one", &["nosuid", "noexec"])?;
    inside.mount_lacks("/dev/one", &["nodev"])
}

/// An owner without a mapping is not replaced by another id of the container.
fn device_of_an_unmapped_owner(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.devices[+]", device("/dev/mine", "c", 1, 5));
    bundle.set("linux.devices[0].uid", 1000i64);
    bundle.set("linux.devices[0].gid", 999i64);
    rig.report(&mut bundle, &["stat", "/dev/mine"])?.is("stat:/dev/mine", "c 640 65534 999 1:5")
}

/// A runtime that may not create device nodes bind-mounts those of the host.
fn device_is_bind_mounted_if_mknod_is_denied(rig: &mut Rig) -> Outcome {
    rig.denied = &[("mknodat", libc::EPERM)];
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.devices[+]", device("/dev/zero", "c", 1, 5));
    rig.report(&mut bundle, &["stat", "/dev/zero"])?.is("stat:/dev/zero", "c 666 65534 65534 1:5")?;
    bundle.set("linux.devices[+]", device("/dev/mine", "c", 1, 5));
    rig.rejected(&bundle, &["linux.devices", "/dev/mine"])
}

/// If the image contains the device, it is used.
fn device_that_exists_in_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    sys::mknod(&bundle.host_path("etc/mine"), libc::S_IFCHR | 0o640, 1, 5)?;
    bundle.set("linux.devices[+]", device("/etc/mine", "c", 1, 5));
    let inside = rig.report(&mut bundle, &["stat", "/etc/mine"])?;
    contains("the device", inside.get("stat:/etc/mine"), " 1:5")
}

/// The specification: a file at the path that is not the device is an error.
fn device_mismatch_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return crate::check::skip_allowed("runc and crun accept what they find");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.devices[+]", device("/etc/mine", "c", 1, 5));
    bundle.file("/etc/mine", "a file")?;
    rig.rejected(&bundle, &["/etc/mine"])?;
    std::fs::remove_file(bundle.host_path("etc/mine"))?;
    sys::mknod(&bundle.host_path("etc/mine"), libc::S_IFCHR | 0o640, 1, 3)?;
    rig.rejected(&bundle, &["/etc/mine"])
}

fn device_of_an_unknown_kind_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.devices[+]", device("/dev/mine", "x", 1, 5));
    rig.rejected(&bundle, &["linux.devices[0].type"])
}
