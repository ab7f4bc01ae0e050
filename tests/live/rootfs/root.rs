//! `root` (config.md, "Root"): its path, read-only roots, pivot_root(2), and what of the host remains reachable.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::{fs, io};

use crate::check::{Outcome, same};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "rootfs",
    only_mounts_of_the_container_are_visible,
    the_host_is_not_above_the_root,
    the_host_is_not_reachable_through_proc,
    root_read_only,
    root_read_only_leaves_mounts_writable,
    root_by_an_absolute_path,
    root_that_is_a_symlink,
    root_that_is_missing_is_rejected,
    root_that_is_a_file_is_rejected,
    root_without_a_path_is_rejected,
    without_pivot,
    without_pivot_the_host_is_not_above_the_root,
    without_pivot_chroot_escape_fails,
    without_pivot_no_procfs_is_left,
    without_pivot_no_procfs_is_left_in_a_user_namespace,
    without_pivot_hidden_procfs_is_rejected_in_a_user_namespace,
    without_pivot_hidden_mounts,
    root_from_a_working_directory_of_the_caller_alone,
];

/// mountinfo in the container shows only mounts of the configuration, and masks.
fn only_mounts_of_the_container_are_visible(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["mounts"])?;
    let masks = ["linux.maskedPaths", "linux.readonlyPaths"];
    let mut allowed = vec!["/".to_string()];
    for mount in bundle.config.at("mounts").items() {
        allowed.push(mount.at("destination").text().to_string());
    }
    for list in masks {
        let name = list.trim_start_matches("linux.");
        let items = bundle.config.at("linux").at(name).items();
        allowed.extend(items.iter().map(|path| path.text().to_string()));
    }
    let mut seen = inside.keys("mount:");
    seen.retain(|place| !allowed.iter().any(|name| name == place));
    same("other mounts", seen, Vec::<&str>::new())?;
    same("mounts at /", inside.all("mount:/").len(), 1)
}

fn above(rig: &Rig, options: &[&str]) -> Outcome {
    let mut bundle = rig.bundle()?;
    let names = "dev etc payload proc sys tmp";
    let verbs = ["list", "/", "list", "/..", "list", "/../../..", "list", "/proc/self/root"];
    bundle.verbs(&verbs);
    let inside = rig.run(&bundle, options)?.success()?.report();
    for path in ["/", "/..", "/../../..", "/proc/self/root"] {
        inside.is(&format!("list:{path}"), names)?;
    }
    Ok(())
}

fn the_host_is_not_above_the_root(rig: &mut Rig) -> Outcome {
    above(rig, &[])
}

/// The host's process 1 is not visible, and /proc/1 links to the container's root.
fn the_host_is_not_reachable_through_proc(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside =
        rig.report(&mut bundle, &["list", "/proc/1/root", "list", "/proc/1/cwd", "link", "/proc/1/cwd"])?;
    inside.is("list:/proc/1/root", "dev etc payload proc sys tmp")?;
    inside.is("list:/proc/1/cwd", "dev etc payload proc sys tmp")?;
    inside.is("link:/proc/1/cwd", "/")
}

fn root_read_only(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("root.readonly", true);
    let inside = rig.report(&mut bundle, &["create", "/new", "create", "/etc/new", "mounts"])?;
    inside.is("create:/new", "!EROFS")?;
    inside.is("create:/etc/new", "!EROFS")?;
    inside.mount_has("/", &["ro"])
}

fn root_read_only_leaves_mounts_writable(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("root.readonly", true);
    bundle.mount(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["create", "/tmp/new", "create", "/dev/shm/new"])?;
    inside.is("create:/tmp/new", "ok")?;
    inside.is("create:/dev/shm/new", "ok")
}

fn root_by_an_absolute_path(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let path = rig.dir.join("elsewhere");
    fs::rename(bundle.dir.join("rootfs"), &path)?;
    bundle.set("root.path", path.display().to_string());
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")
}

fn root_that_is_a_symlink(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let path = rig.dir.join("elsewhere");
    fs::rename(bundle.dir.join("rootfs"), &path)?;
    symlink(&path, bundle.dir.join("rootfs"))?;
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")
}

fn root_that_is_missing_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("root.path", "nothing");
    rig.rejected(&bundle, &["root.path", "nothing"])
}

fn root_that_is_a_file_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("root.path", "config.json");
    rig.rejected(&bundle, &["root.path"])
}

fn root_without_a_path_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.remove("root.path");
    rig.rejected(&bundle, &["root", "path"])
}

fn without_pivot(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["list", "/", "ns", "create", "/new"]);
    let inside = rig.run(&bundle, &["--no-pivot"])?.success()?.report();
    inside.is("list:/", "dev etc payload proc sys tmp")?;
    inside.is("create:/new", "ok")
}

fn without_pivot_the_host_is_not_above_the_root(rig: &mut Rig) -> Outcome {
    above(rig, &["--no-pivot"])
}

/// With hooks, the root is at its path in the bundle until they have been run.
fn without_pivot_chroot_escape_fails(rig: &mut Rig) -> Outcome {
    for hooks in [false, true] {
        let mut bundle = rig.bundle()?;
        if hooks {
            bundle.set("hooks.createContainer", json!([{"path": "/bin/true"}]));
        }
        for set in ["bounding", "effective", "permitted"] {
            bundle.set(&format!("process.capabilities.{set}[+]"), "CAP_SYS_CHROOT");
        }
        bundle.verbs(&["climb"]);
        let inside = rig.run(&bundle, &["--no-pivot"])?.success()?.report();
        inside.is("climb", "dev etc payload proc sys tmp")?;
    }
    Ok(())
}

/// Similar to CVE-2019-16884: with any procfs in the mount namespace, even a hidden one, another one without masks
/// could be mounted.
fn no_procfs_is_left(rig: &Rig, user_namespace: bool) -> Outcome {
    for options in [&[][..], &["--no-pivot"]] {
        let mut bundle = rig.bundle()?;
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        bundle.verbs(&["reveal", "/tmp"]);
        rig.run(&bundle, options)?.success()?.report().is("reveal", "!EPERM")?;
    }
    Ok(())
}

fn without_pivot_no_procfs_is_left(rig: &mut Rig) -> Outcome {
    no_procfs_is_left(rig, false)
}

/// In a user namespace, the host's procfs cannot be unmounted, and is covered instead.
fn without_pivot_no_procfs_is_left_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    no_procfs_is_left(rig, true)
}

/// It cannot be covered if another mount hides it; one that is stacked under another is not visible to the kernel. With
/// CLONE_EMPTY_MNTNS (linux 7.1) none of the host's mounts are there.
fn without_pivot_hidden_procfs_is_rejected_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    for place in ["over/hidden", "stacked"] {
        fs::create_dir_all(rig.dir.join(place))?;
    }
    rig.around = Some(mount_procfs);
    no_procfs_is_left(rig, true)?;
    rig.around =
        Some(|dir| mount_procfs(dir).and_then(|()| sys::mount("none", &dir.join("over"), "tmpfs", 0, "")));
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    bundle.verbs(&["reveal", "/tmp"]);
    let output = rig.run(&bundle, &["--no-pivot"])?;
    match sys::kernel() < (7, 1) {
        true => rig.failure(&output, &["hidden", "hidden by another mount", "resource busy"]),
        false => output.success()?.report().is("reveal", "!EPERM"),
    }
}

/// In a mount namespace of mote alone, because other tests would fail for these mounts, too.
fn mount_procfs(dir: &Path) -> io::Result<()> {
    sys::unshare(libc::CLONE_NEWNS)?;
    sys::mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    for place in ["over/hidden", "stacked"] {
        sys::mount("proc", &dir.join(place), "proc", 0, "")?;
    }
    sys::mount("none", &dir.join("stacked"), "tmpfs", 0, "")
}

/// A hidden mount cannot be unmounted before the one that covers it, and by then the procfs that lists both is
/// unmounted.
fn without_pivot_hidden_mounts(rig: &mut Rig) -> Outcome {
    let over = rig.dir.join("over");
    let hidden = over.join("hidden");
    fs::create_dir_all(&hidden)?;
    for place in [&hidden, &over] {
        sys::mount("none", place, "tmpfs", 0, "")?;
    }
    let outcome = without_pivot(rig);
    for place in [&over, &hidden] {
        sys::umount(place)?;
    }
    outcome
}

/// As in a home directory: root of the container, another user on the host, may not search the working directory.
fn root_from_a_working_directory_of_the_caller_alone(rig: &mut Rig) -> Outcome {
    let closed = rig.dir.join("closed");
    fs::create_dir(&closed)?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700))?;
    rig.around = Some(|dir| std::env::set_current_dir(dir.join("closed")));
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    rig.report(&mut bundle, &["list", "/", "id"])?.is("list:/", "dev etc payload proc sys tmp")?;
    bundle.set("hooks.createContainer", json!([{"path": "/bin/true"}]));
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")
}
