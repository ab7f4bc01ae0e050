//! Devices, links and the console, where the configuration has mounts of the host: the files of the host are not
//! changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::has_overlay;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::socket::Socket;
use crate::{sys, tests};

tests![
    "rootfs",
    device_below_a_bind_mount_is_not_created,
    device_below_a_bind_mount_keeps_its_owner,
    device_below_a_bind_mount_must_match,
    device_below_a_mount_of_the_bundles_root_is_not_created,
    device_at_a_bind_mounted_node_keeps_its_owner,
    device_below_a_tmpfs_of_the_container,
    nothing_is_created_if_dev_is_a_symlink_to_a_bind_mount,
    nothing_is_created_on_a_filesystem_of_the_host,
    console_is_not_created_below_a_bind_mount,
    default_links_do_not_replace_mounts,
    default_links_do_not_replace_mounts_in_a_user_namespace,
    default_devices_do_not_replace_mounts,
    default_devices_do_not_replace_mounts_in_a_user_namespace,
];

/// An empty directory of the host that every user may write.
fn volume(rig: &Rig) -> Outcome<PathBuf> {
    let dir = rig.dir.join("volume");
    fs::create_dir_all(&dir)?;
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    Ok(dir)
}

fn names(dir: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn untouched(dir: &Path) -> Outcome {
    same("the host's directory", names(dir)?, Vec::<String>::new())
}

fn zero(path: &str) -> Json {
    json!({"path": path, "type": "c", "major": 1i64, "minor": 5i64, "fileMode": 0o640i64, "uid": 7i64, "gid": 8i64})
}

fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) {
        Ok(())
    } else {
        skip_allowed("runc and crun create it on the host, or ignore it")
    }
}

/// With a path in the bind-mounted directory, below it, and through a symlink of the image; without and with a user
/// namespace.
fn device_below_a_bind_mount_is_not_created(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let volume = volume(rig)?;
    for place in ["/dev", "/volume"] {
        for path in ["mine", "sub/mine", "way"] {
            for user_namespace in [false, true] {
                let mut bundle = rig.bundle()?;
                // Only the device would be created there.
                for other in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                    bundle.without_mount(other);
                }
                fs::create_dir_all(bundle.host_path(place))?;
                bundle.bind(&volume, place, &["bind"]);
                bundle.set("linux.maskedPaths", json!([]));
                symlink("/volume", bundle.host_path("link"))?;
                let way = format!("{place}/{path}");
                let way = if path == "way" { "/link/mine" } else { way.as_str() };
                if place == "/dev" && path == "way" {
                    continue;
                }
                bundle.set("linux.devices[+]", zero(way));
                if user_namespace {
                    bundle.user_namespace(100_000);
                    sys::chown(&bundle.host_path("dev"), 100_000, 100_000)?;
                }
                bundle.verbs(&[]);
                rig.rejected(&bundle, &["device", way, "not found"])?;
                untouched(&volume)?;
            }
        }
    }
    Ok(())
}

/// An existing device with the same numbers is used, and its owner and mode are kept.
fn device_below_a_bind_mount_keeps_its_owner(rig: &mut Rig) -> Outcome {
    let volume = volume(rig)?;
    sys::mknod(&volume.join("mine"), libc::S_IFCHR | 0o600, 1, 5)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&volume, "/volume", &["bind"]);
    bundle.set("linux.devices[+]", zero("/volume/mine"));
    rig.report(&mut bundle, &["stat", "/volume/mine"])?.is("stat:/volume/mine", "c 600 0 0 1:5")?;
    let node = fs::metadata(volume.join("mine"))?;
    same("owner and mode", (node.uid(), node.gid(), node.mode() & 0o777), (0, 0, 0o600))
}

fn device_below_a_bind_mount_must_match(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let volume = volume(rig)?;
    sys::mknod(&volume.join("mine"), libc::S_IFCHR | 0o600, 1, 3)?;
    for user_namespace in [false, true] {
        let mut bundle = rig.bundle()?;
        fs::create_dir(bundle.host_path("volume"))?;
        bundle.bind(&volume, "/volume", &["bind"]);
        bundle.set("linux.devices[+]", zero("/volume/mine"));
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        bundle.verbs(&[]);
        rig.rejected(&bundle, &["device /volume/mine", "is not c 1:5"])?;
    }
    Ok(())
}

/// The bundle's rootfs may contain a mount of the host's /dev.
fn device_below_a_mount_of_the_bundles_root_is_not_created(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let volume = volume(rig)?;
    fs::create_dir(volume.join("fd"))?;
    let mut bundle = rig.bundle()?;
    for other in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(other);
    }
    bundle.set("linux.maskedPaths", json!([]));
    sys::mount(&volume.display().to_string(), &bundle.host_path("dev"), "", libc::MS_BIND, "")?;
    bundle.verbs(&["list", "/dev"]);
    let seen = rig.run(&bundle, &[])?;
    bundle.set("linux.devices[+]", zero("/dev/mine"));
    let output = rig.run(&bundle, &[])?;
    sys::umount(&bundle.host_path("dev"))?;
    seen.success()?.report().is("list:/dev", "fd")?;
    rig.failure(&output, &["device /dev/mine", "not found"])?;
    same("the host's directory", names(&volume)?, vec!["fd"])
}

/// The directory is the container's, but a node of the host is bind-mounted at the path of the device.
fn device_at_a_bind_mounted_node_keeps_its_owner(rig: &mut Rig) -> Outcome {
    let volume = volume(rig)?;
    let node = volume.join("node");
    sys::mknod(&node, libc::S_IFCHR | 0o600, 1, 5)?;
    for name in ["/dev/mine", "/dev/zero", "/etc/mine"] {
        let mut bundle = rig.bundle()?;
        bundle.bind(&node, name, &["bind"]);
        bundle.set("linux.devices[+]", zero(name));
        rig.report(&mut bundle, &["stat", name])?.is(&format!("stat:{name}"), "c 600 0 0 1:5")?;
        let after = fs::metadata(&node)?;
        same("the owner", (after.uid(), after.gid()), (0, 0))?;
    }
    Ok(())
}

/// A tmpfs of the container is its own even below a bind mount, and so is its root.
fn device_below_a_tmpfs_of_the_container(rig: &mut Rig) -> Outcome {
    let volume = volume(rig)?;
    fs::create_dir(volume.join("own"))?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&volume, "/volume", &["bind"]);
    bundle.mount(json!({"destination": "/volume/own", "type": "tmpfs", "source": "tmpfs"}));
    bundle.set("linux.devices[+]", zero("/volume/own/deep/mine"));
    bundle.set("linux.devices[+]", zero("/etc/new/mine"));
    let inside = rig.report(&mut bundle, &["stat", "/volume/own/deep/mine", "stat", "/etc/new/mine"])?;
    inside.is("stat:/volume/own/deep/mine", "c 640 7 8 1:5")?;
    inside.is("stat:/etc/new/mine", "c 640 7 8 1:5")?;
    untouched(&volume.join("own"))
}

/// Neither devices nor links are created.
fn nothing_is_created_if_dev_is_a_symlink_to_a_bind_mount(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    for user_namespace in [false, true] {
        let volume = volume(rig)?;
        let mut bundle = rig.bundle()?;
        for other in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(other);
        }
        bundle.set("linux.maskedPaths", json!([]));
        fs::create_dir(bundle.host_path("volume"))?;
        bundle.bind(&volume, "/volume", &["bind"]);
        fs::remove_dir(bundle.host_path("dev"))?;
        symlink("volume", bundle.host_path("dev"))?;
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        rig.report(&mut bundle, &["list", "/dev"])?.is("list:/dev", "")?;
        untouched(&volume)?;
    }
    Ok(())
}

/// A new overlayfs has its files in a directory of the host.
fn nothing_is_created_on_a_filesystem_of_the_host(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    has_overlay(rig)?;
    let base = rig.dir.join("base");
    sys::mount("none", &volume(rig)?, "tmpfs", 0, "")?;
    fs::create_dir(&base)?;
    sys::mount("none", &base, "tmpfs", 0, "")?;
    let dirs = ["lower", "upper", "work"].map(|name| base.join(name));
    dirs.iter().try_for_each(fs::create_dir)?;
    let [lower, upper, work] = dirs.each_ref().map(|dir| dir.display().to_string());
    fs::write(format!("{lower}/ptmx"), "the host's")?;
    let mut bundle = rig.bundle()?;
    for other in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(other);
    }
    let options = vec![format!("lowerdir={lower}"), format!("upperdir={upper}"), format!("workdir={work}")];
    bundle.mount(json!({"destination": "/dev", "type": "overlay", "source": "overlay", "options": options}));
    bundle.set("linux.maskedPaths", json!([]));
    bundle.verbs(&["list", "/dev"]);
    let seen = rig.run(&bundle, &[])?;
    let made = names(Path::new(&upper))?;
    sys::umount(&base)?;
    sys::umount(&rig.dir.join("volume"))?;
    seen.success()?.report().is("list:/dev", "ptmx")?;
    same("the host's directory", made, Vec::<String>::new())
}

fn console_is_not_created_below_a_bind_mount(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let volume = volume(rig)?;
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir(volume.join(name))?;
    }
    let mut bundle = rig.bundle()?;
    let others = bundle.config.at("mounts").items().to_vec();
    bundle.set("mounts", json!([]));
    bundle.bind(&volume, "/dev", &["bind"]);
    others
        .into_iter()
        .filter(|mount| mount.at("destination").text() != "/dev")
        .for_each(|mount| bundle.mount(mount));
    bundle.set("linux.maskedPaths", json!([]));
    bundle.set("process.terminal", true);
    bundle.verbs(&["wait", "1"]);
    let socket = Socket::new(rig, "console")?;
    let created = rig.create(&bundle, &["--console-socket", &socket.path])?;
    let _master = socket.receive()?;
    drop(created);
    rig.delete()?;
    same("the host's directory", names(&volume)?, vec!["mqueue", "pts", "shm"])
}

/// As podman's `--privileged`, `--device /dev/ptmx` and `-v /dev/ptmx:/dev/ptmx`; and with a directory.
fn links_keep_mounts(rig: &Rig, user_namespace: bool) -> Outcome {
    let volume = volume(rig)?;
    fs::write(volume.join("file"), "of the host")?;
    let mut bundle = rig.bundle()?;
    bundle.bind(Path::new("/dev/zero"), "/dev/ptmx", &["bind"]);
    bundle.bind(&volume.join("file"), "/dev/stdin", &["bind"]);
    bundle.bind(&volume, "/dev/fd", &["bind"]);
    if user_namespace {
        bundle.user_namespace(100_000);
    }
    let verbs = ["stat", "/dev/ptmx", "read", "/dev/stdin", "list", "/dev/fd", "link", "/dev/stdout"];
    let inside = rig.report(&mut bundle, &verbs)?;
    contains("ptmx", inside.get("stat:/dev/ptmx"), " 1:5")?;
    inside.is("read:/dev/stdin", "of the host")?;
    inside.is("list:/dev/fd", "file")?;
    inside.is("link:/dev/stdout", "/proc/self/fd/1")?;
    holds("the host's file exists", volume.join("file").exists())
}

fn default_links_do_not_replace_mounts(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    links_keep_mounts(rig, false)
}

fn default_links_do_not_replace_mounts_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    links_keep_mounts(rig, true)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.set("linux.devices[+]", json!({"path": "/dev/ptmx", "type": "c", "major": 5i64, "minor": 2i64}));
    contains("ptmx", rig.report(&mut bundle, &["stat", "/dev/ptmx"])?.get("stat:/dev/ptmx"), " 5:2")
}

/// As `-v /dev/urandom:/dev/random`.
fn default_devices_keep_mounts(rig: &Rig, user_namespace: bool) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.bind(Path::new("/dev/urandom"), "/dev/random", &["bind"]);
    bundle.bind(&volume(rig)?, "/dev/tty", &["bind"]);
    if user_namespace {
        bundle.user_namespace(100_000);
    }
    let inside =
        rig.report(&mut bundle, &["stat", "/dev/random", "stat", "/dev/tty", "stat", "/dev/zero"])?;
    contains("random", inside.get("stat:/dev/random"), " 1:9")?;
    contains("tty", inside.get("stat:/dev/tty"), "d 777 ")?;
    contains("zero", inside.get("stat:/dev/zero"), " 1:5")
}

fn default_devices_do_not_replace_mounts(rig: &mut Rig) -> Outcome {
    default_devices_keep_mounts(rig, false)
}

fn default_devices_do_not_replace_mounts_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    default_devices_keep_mounts(rig, true)
}
