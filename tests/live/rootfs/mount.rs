//! New filesystems: proc, sysfs, tmpfs, devpts, mqueue; and mount options (config.md, "Mounts").

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::mpsc::{self, TryRecvError};
use std::{fs, io, thread};

use super::{has_overlay, source};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, lacks, same};
use crate::json;
use crate::json::Json;
use crate::namespaces::join::{proc_path, user_namespace_of_a_process};
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootfs",
    proc_shows_the_pid_namespace,
    sysfs_is_read_only,
    mqueue_is_mounted,
    filesystems_belong_to_the_root_of_a_new_user_namespace,
    filesystems_belong_to_the_root_of_a_joined_user_namespace,
    tmpfs_size_and_mode,
    tmpfs_has_the_mode_of_its_mount_point,
    tmpfs_at_a_new_mount_point_has_mode_1777,
    tmpfs_options_are_set,
    tmpfs_without_a_source,
    tmpfs_with_inode_versions,
    tmpcopyup,
    tmpcopyup_while_files_are_removed,
    tmpcopyup_of_another_filesystem_is_rejected,
    devpts_is_a_new_instance,
    devpts_ptmx_can_be_opened,
    remount_changes_a_mount,
    mounts_over_the_root_through_a_link,
    unknown_type_is_rejected,
    unknown_option_is_rejected_by_the_kernel,
    mount_without_destination_is_rejected,
];

fn proc_shows_the_pid_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["mounts", "list", "/proc"])?;
    contains("the mountinfo line", inside.get("mount:/proc"), " - proc proc ")?;
    let numbers = |name: &&str| name.parse::<u32>().is_ok();
    let pids: Vec<&str> = inside.get("list:/proc").split(' ').filter(numbers).collect();
    same("processes", pids, vec!["1"])
}

fn sysfs_is_read_only(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["mounts", "mkdir", "/sys/new", "list", "/sys/fs"])?;
    contains("the mountinfo line", inside.get("mount:/sys"), " - sysfs sysfs ")?;
    inside.mount_has("/sys", &["ro", "nosuid", "noexec", "nodev"])?;
    inside.is("mkdir:/sys/new", "!EROFS")
}

fn mqueue_is_mounted(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["mounts", "create", "/dev/mqueue/one"])?;
    contains("the mountinfo line", inside.get("mount:/dev/mqueue"), " - mqueue mqueue ")?;
    inside.is("create:/dev/mqueue/one", "ok")
}

/// Checks the owner of each filesystem that a user namespace may mount; that of proc and sysfs is always the host's
/// root.
fn belong_to_root(rig: &Rig, mut bundle: Bundle) -> Outcome {
    has_overlay(rig)?;
    rig.needs_kernel((5, 11), "overlays in user namespaces")?;
    let lower = source(rig)?;
    let lower = format!("lowerdir={}:{}", lower.display(), bundle.host_path("etc").display());
    for (place, kind, options) in [
        ("/new/tmpfs", "tmpfs", vec![]),
        ("/new/ramfs", "ramfs", vec![]),
        ("/new/mqueue", "mqueue", vec![]),
        ("/new/devpts", "devpts", vec!["newinstance"]),
        ("/new/overlay", "overlay", vec![lower.as_str()]),
    ] {
        fs::create_dir_all(bundle.host_path(place))?;
        bundle.mount(json!({"destination": place, "type": kind, "source": "name", "options": options}));
    }
    sys::chown(&source(rig)?, 100_000, 100_000)?;
    let places = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/new/tmpfs", "/new/ramfs", "/new/mqueue"];
    let places = [&places[..], &["/new/devpts", "/new/overlay", "/proc", "/sys"]].concat();
    let verbs: Vec<&str> = places.iter().flat_map(|place| ["stat", place]).collect();
    let verbs = [&verbs[..], &["create", "/dev/mqueue/one", "ns"]].concat();
    let inside = rig.report(&mut bundle, &verbs)?;
    for place in places {
        let owner = inside.get(&format!("stat:{place}")).split(' ').nth(2);
        let want = if matches!(place, "/proc" | "/sys") { "65534" } else { "0" };
        same(place, owner, Some(want))?;
    }
    inside.is("create:/dev/mqueue/one", "ok")?;
    let own = fs::read_link("/proc/self/ns/ipc")?.display().to_string();
    different("the IPC namespace", inside.get("ns:ipc"), &own)
}

fn filesystems_belong_to_the_root_of_a_new_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    belong_to_root(rig, bundle)
}

fn filesystems_belong_to_the_root_of_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("user", Some(&proc_path(pid, "user")));
    belong_to_root(rig, bundle)
}

/// The mode of an existing directory is kept; a new one gets mode 1777.
fn tmpfs_at_a_new_mount_point_has_mode_1777(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(tmpfs(&[]));
    let places = ["/run/lock", "/etc/deep/er", "/fresh/below"];
    for (place, options) in places.into_iter().zip([json!([]), json!(["nosuid"]), json!(["tmpcopyup"])]) {
        bundle.mount(json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}));
    }
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    let verbs: Vec<&str> = ["/fresh"].into_iter().chain(places).flat_map(|place| ["stat", place]).collect();
    let inside =
        rig.report(&mut bundle, &[&verbs[..], &["stat", "/run", "create", "/run/lock/new"]].concat())?;
    for place in ["/fresh"].into_iter().chain(places) {
        inside.is(&format!("stat:{place}"), "d 1777 0 0 0:0")?;
    }
    inside.is("stat:/run", "d 755 0 0 0:0")?;
    inside.is("create:/run/lock/new", "ok")
}

/// A tmpfs at `/fresh` with these options.
fn tmpfs(options: &[&str]) -> Json {
    let options = options.to_vec();
    json!({"destination": "/fresh", "type": "tmpfs", "source": "tmpfs", "options": options})
}

fn tmpfs_size_and_mode(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(tmpfs(&["size=128k", "mode=1770", "uid=5", "gid=6"]));
    let inside = rig.report(&mut bundle, &["mounts", "stat", "/fresh"])?;
    inside.mount_has("/fresh", &["size=128k"])?;
    inside.is("stat:/fresh", "d 1770 5 6 0:0")
}

fn tmpfs_has_the_mode_of_its_mount_point(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("fresh"))?;
    fs::set_permissions(bundle.host_path("fresh"), fs::Permissions::from_mode(0o711))?;
    bundle.mount(tmpfs(&[]));
    let inside = rig.report(&mut bundle, &["stat", "/fresh", "mounts"])?;
    contains("the mountinfo line", inside.get("mount:/fresh"), " - tmpfs ")?;
    inside.is("stat:/fresh", "d 711 0 0 0:0")
}

fn tmpfs_options_are_set(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(tmpfs(&["nosuid", "nodev", "noexec", "noatime", "ro"]));
    let inside = rig.report(&mut bundle, &["mounts", "create", "/fresh/file"])?;
    inside.mount_has("/fresh", &["nosuid", "nodev", "noexec", "noatime", "ro"])?;
    inside.is("create:/fresh/file", "!EROFS")
}

fn tmpfs_without_a_source(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/fresh", "type": "tmpfs"}));
    let inside = rig.report(&mut bundle, &["mounts"])?;
    contains("the mountinfo line", inside.get("mount:/fresh"), " - tmpfs ")
}

/// All files are copied with owners and modes, and writing changes only the copies.
fn tmpcopyup(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let below = bundle.host_path("fresh/dir/deeper");
    fs::create_dir_all(&below)?;
    fs::write(below.join("file"), "x".repeat(300_000))?;
    chown(below.join("file"), Some(5), Some(6))?;
    fs::set_permissions(below.join("file"), fs::Permissions::from_mode(0o4755))?;
    symlink("../nowhere", bundle.host_path("fresh/link"))?;
    bundle.mount(tmpfs(&["tmpcopyup", "ro"]));
    let inside = rig.report(
        &mut bundle,
        &[
            "list",
            "/fresh",
            "link",
            "/fresh/link",
            "stat",
            "/fresh/dir/deeper/file",
            "read",
            "/fresh/dir/deeper/file",
        ],
    )?;
    inside.is("list:/fresh", "dir link")?;
    inside.is("link:/fresh/link", "../nowhere")?;
    inside.is("stat:/fresh/dir/deeper/file", "f 4755 5 6 0:0")?;
    same("the file", inside.get("read:/fresh/dir/deeper/file").len(), 300_000)?;
    Ok(())
}

/// What is removed between listing and copying is left out.
fn tmpcopyup_while_files_are_removed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/fresh/kept", "content")?;
    bundle.mount(tmpfs(&["tmpcopyup"]));
    bundle.verbs(&["read", "/fresh/kept"]);
    let directory = bundle.host_path("fresh");
    let (end, ended) = mpsc::channel::<()>();
    let removing = thread::spawn(move || -> io::Result<()> {
        while ended.try_recv() == Err(TryRecvError::Empty) {
            for number in 0..100 {
                fs::create_dir(directory.join(format!("dir{number}")))?;
                fs::write(directory.join(format!("dir{number}/file")), "")?;
                symlink("kept", directory.join(format!("link{number}")))?;
            }
            for number in 0..100 {
                fs::remove_file(directory.join(format!("link{number}")))?;
                fs::remove_dir_all(directory.join(format!("dir{number}")))?;
            }
        }
        Ok(())
    });
    for _ in 0..50 {
        rig.run(&bundle, &[])?.success()?.report().is("read:/fresh/kept", "content")?;
    }
    drop(end);
    removing.join().map_err(|_| "the thread panicked")??;
    Ok(())
}

fn tmpcopyup_of_another_filesystem_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let options = json!(["tmpcopyup"]);
    bundle.mount(json!({"destination": "/fresh", "type": "ramfs", "source": "x", "options": options}));
    rig.rejected(&bundle, &["/fresh", "tmpcopyup"])
}

/// `iversion` is a flag that only mount(2) has, next to options and flags of fsconfig(2).
fn tmpfs_with_inode_versions(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let options = json!(["iversion", "size=64k", "sync", "noexec", "mode=750"]);
    bundle.mount(json!({"destination": "/data", "type": "tmpfs", "options": options}));
    let inside = rig.report(&mut bundle, &["stat", "/data", "mounts"])?;
    inside.is("stat:/data", "d 750 0 0 0:0")?;
    inside.mount_has("/data", &["noexec", "sync", "size=64k"])
}

fn devpts_is_a_new_instance(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["mounts", "list", "/dev/pts", "stat", "/dev/pts/ptmx"])?;
    contains("the mountinfo line", inside.get("mount:/dev/pts"), " - devpts devpts ")?;
    inside.mount_has("/dev/pts", &["mode=620", "ptmxmode=666"])?;
    inside.is("list:/dev/pts", "ptmx")?;
    inside.is("stat:/dev/pts/ptmx", "c 666 0 0 5:2")
}

fn devpts_ptmx_can_be_opened(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["link", "/dev/ptmx", "open", "/dev/ptmx"])?;
    inside.is("link:/dev/ptmx", "pts/ptmx")?;
    inside.is("open:/dev/ptmx", "ok")
}

fn remount_changes_a_mount(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/fresh/file", "under it")?;
    bundle.mount(tmpfs(&["size=64k", "nosuid"]));
    bundle.mount(tmpfs(&["remount", "ro", "nosuid"]));
    let inside = rig.report(&mut bundle, &["mounts", "create", "/fresh/new", "list", "/fresh"])?;
    inside.is("create:/fresh/new", "!EROFS")?;
    inside.is("list:/fresh", "")?;
    inside.mount_has("/fresh", &["ro", "nosuid"])?;
    same("number of mounts", inside.all("mount:/fresh").len(), 1)
}

/// The destination is a symlink to the root, so the mount is hidden below the container's root.
fn mounts_over_the_root_through_a_link(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    symlink("/", bundle.host_path("lead"))?;
    bundle.mount(json!({"destination": "/lead", "type": "tmpfs", "source": "tmpfs"}));
    bundle.verbs(&["list", "/..", "list", "/"]);
    let output = rig.run(&bundle, &[])?;
    if output.code() != 0 {
        return rig.failure(&output, &["/lead"]);
    }
    let inside = output.success()?.report();
    for place in ["/..", "/"] {
        lacks("the list", inside.get(&format!("list:{place}")), "boot")?;
    }
    Ok(())
}

fn unknown_type_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.mount(json!({"destination": "/fresh", "type": "moonfs", "source": "moon"}));
    rig.rejected(&bundle, &["mounts[6]", "moonfs"])
}

/// An option that mote does not have is passed to the filesystem.
fn unknown_option_is_rejected_by_the_kernel(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.mount(tmpfs(&["moonlight"]));
    rig.rejected(&bundle, &["mounts[6]", "/fresh"])
}

fn mount_without_destination_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["mounts"]);
    bundle.mount(json!({"type": "tmpfs", "source": "tmpfs"}));
    if rig.is(Runtime::Mote) {
        return rig.rejected(&bundle, &["mounts[6]", "destination"]);
    }
    lacks("a peer's mounts", &rig.run(&bundle, &[])?.stdout, "moon")
}
