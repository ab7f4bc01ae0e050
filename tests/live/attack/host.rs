//! Objects of the host that a harmless configuration, or another user of the host, could make the runtime expose or
//! change: devices, the mount namespace, /dev, keyrings and files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::only_mote;
use crate::check::{Outcome, different, holds, same, skip};
use crate::command::{run, start};
use crate::rig::Rig;
use crate::{json, sys, tests};

tests![
    "attack",
    device_in_a_user_namespace_that_is_a_file_of_the_host,
    device_in_a_user_namespace_that_is_another_device,
    mount_namespace_of_the_host_is_rejected,
    bind_mount_at_dev_does_not_change_its_source,
    keyring_of_another_process_is_not_joined,
    pid_file_at_a_symlink,
];

/// In a user namespace a device is created by the parent, whatever the host has at that path; a runtime that may not
/// create it bind-mounts the file of the host, so that file must be the same device.
fn bound_device_is_rejected(rig: &mut Rig, path: &Path) -> Outcome {
    only_mote(rig)?;
    let path = path.display().to_string();
    let mut bundle = rig.bundle()?;
    bundle.file(&path, "")?;
    bundle.user_namespace(100_000);
    bundle
        .set("linux.devices[+]", json!({"path": (path.as_str()), "type": "c", "major": 1i64, "minor": 3i64}));
    rig.report(&mut bundle, &["read", &path])?.is(&format!("read:{path}"), "")?;
    rig.denied = &[("mknodat", libc::EPERM)];
    rig.rejected(&bundle, &[&path, "c 1:3"])
}

fn device_in_a_user_namespace_that_is_a_file_of_the_host(rig: &mut Rig) -> Outcome {
    let secret = rig.dir.join("secret");
    fs::write(&secret, "the host's")?;
    bound_device_is_rejected(rig, &secret)
}

fn device_in_a_user_namespace_that_is_another_device(rig: &mut Rig) -> Outcome {
    let full = rig.dir.join("full");
    sys::mknod(&full, libc::S_IFCHR | 0o666, 1, 7)?;
    bound_device_is_rejected(rig, &full)
}

/// All mounts, and pivot_root(2), would change the host. The runtime is in a mount namespace of the test here, should
/// it proceed all the same.
fn mount_namespace_of_the_host_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "here"]);
    bundle.namespace("mount", Some(Path::new("/proc/self/ns/mnt")));
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || sys::unshare(libc::CLONE_NEWNS));
    rig.failure(&run(&mut command, "")?, &["linux.namespaces[4].path", "the host's own"])?;
    rig.nothing_left()
}

/// Whatever the type and options of a bind mount at /dev, no devices and links are created in its source.
fn bind_mount_at_dev_does_not_change_its_source(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let host = rig.dir.join("devices");
    fs::create_dir(&host)?;
    fs::write(host.join("core"), "the host's")?;
    sys::mknod(&host.join("ptmx"), libc::S_IFCHR | 0o666, 5, 2)?;
    sys::mknod(&host.join("null"), libc::S_IFCHR | 0o666, 1, 3)?;
    for place in ["/dev", "/dev/", "//dev", "/dev/.", "/./dev", "/.//dev/./"] {
        for options in [&[][..], &["bind"], &["rbind", "ro"]] {
            let mut bundle = rig.bundle()?;
            for mount in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                bundle.without_mount(mount);
            }
            bundle.bind(&host, place, options);
            let inside = rig.report(&mut bundle, &["list", "/dev"])?;
            inside.is("list:/dev", "core null ptmx")?;
            let names = fs::read_dir(&host)?.count();
            same(&format!("number of names in the host's directory after {place} {options:?}"), names, 3)?;
        }
    }
    same("the host's file", fs::read_to_string(host.join("core"))?.as_str(), "the host's")
}

/// A session keyring is found by its name, and any process can create one with that of the container.
fn keyring_of_another_process_is_not_joined(rig: &mut Rig) -> Outcome {
    rig.user = Some(65534);
    let id = rig.id.clone();
    let made = start(&mut rig.host(&["keyring", &id, "say", "made", "wait", "1"]), false);
    rig.user = None;
    let mut other = made?;
    let report = other.lines.until("say=made")?;
    let serial = report.get("keyring");
    if serial.starts_with('!') {
        return skip(format_args!("keyrings cannot be used here: {serial}"));
    }
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["session"])?;
    holds("the process has a keyring", !inside.get("session").starts_with('!'))?;
    different("the keyring", inside.get("session"), serial)
}

/// In a directory that others may write, the pid file may be a symlink.
fn pid_file_at_a_symlink(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let (kept, link) = (rig.dir.join("kept"), rig.dir.join("pid"));
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    for target in [kept.as_path(), Path::new("missing")] {
        fs::write(&kept, "the host's")?;
        symlink(target, &link)?;
        let path = link.display().to_string();
        let _created = rig.create(&bundle, &["--pid-file", &path])?;
        same("the link's target", fs::read_to_string(&kept)?.as_str(), "the host's")?;
        holds("the target of the link is not created", !rig.dir.join("missing").exists())?;
        holds("the pid file is a file", fs::symlink_metadata(&link)?.is_file())?;
        same("the pid file", fs::read_to_string(&link)?, rig.pid()?.to_string())?;
        rig.delete()?;
        fs::remove_file(&link)?;
    }
    Ok(())
}
