//! Images that try to make the runtime create or mount something outside of the rootfs: it stays inside, or `run`
//! fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "attack",
    mount_below_an_absolute_symlink,
    mount_below_a_symlink_with_dots,
    mount_on_a_dangling_symlink,
    mount_with_dots_in_its_destination,
    file_bind_on_a_symlink_to_a_host_file,
    file_bind_below_an_absolute_symlink,
    dev_pts_is_a_symlink_in_the_image,
    device_below_an_absolute_symlink,
    device_with_dots_in_its_path,
    mask_of_a_symlink,
    readonly_path_of_a_symlink,
    tmpcopyup_of_a_symlink,
    proc_at_another_destination_through_a_symlink,
    mount_in_a_loop_of_symlinks,
];

/// A directory of the host that an image tries to reach.
pub fn victim(rig: &Rig) -> Outcome<PathBuf> {
    let dir = rig.dir.join("victim");
    fs::create_dir(&dir)?;
    fs::write(dir.join("secret"), "the host's")?;
    fs::create_dir(dir.join("dir"))?;
    Ok(dir)
}

/// Checks that nothing in the directory is new, changed, removed, or covered by a mount.
pub fn untouched(victim: &Path) -> Outcome {
    let mut names = Vec::new();
    for entry in fs::read_dir(victim)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    same("the host's directory", names, vec!["dir", "secret"])?;
    same("the host's file", fs::read_to_string(victim.join("secret"))?.as_str(), "the host's")?;
    same("number of files below it", fs::read_dir(victim.join("dir"))?.count(), 0)?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    holds("nothing is mounted below it", !table.contains(&victim.display().to_string()))
}

/// Runs a container, which may fail, and checks the directory of the host while it runs and afterwards.
pub fn host_is_unchanged(rig: &Rig, bundle: &mut Bundle, victim: &Path) -> Outcome {
    bundle.verbs(&["say", "ready", "line", "mounts"]);
    let mut running = rig.spawn(bundle, &[])?;
    let first = running.lines.next()?;
    untouched(victim)?;
    if first == "say=ready" {
        running.write("go\n")?;
        let output = running.finish()?.success()?;
        let report = output.report();
        let lines = report.keys("mount:").into_iter().flat_map(|place| report.all(&format!("mount:{place}")));
        // The fourth field is the path of the root in its filesystem. A path below the rootfs is harmless.
        let mut roots = lines.filter_map(|line| line.split(' ').nth(3));
        let shown = roots.any(|root| root.contains("/victim") && !root.contains("/rootfs/"));
        holds("no mount shows the host's directory", !shown)?;
    } else {
        let (status, errors) = running.status()?;
        same("exit code", status.code(), Some(1))?;
        holds("one line on the standard error", errors.lines().count() == 1 || !rig.is(Runtime::Mote))?;
    }
    untouched(victim)
}

pub fn tmpfs(bundle: &mut Bundle, destination: &str) {
    bundle.mount(json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"}));
}

fn mount_below_an_absolute_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    tmpfs(&mut bundle, "/way/dir");
    tmpfs(&mut bundle, "/way/new/deep");
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn mount_below_a_symlink_with_dots(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    let up = "../".repeat(30) + victim.display().to_string().trim_start_matches('/');
    symlink(up, bundle.host_path("way"))?;
    symlink("../../victim", bundle.host_path("short"))?;
    tmpfs(&mut bundle, "/way/new");
    tmpfs(&mut bundle, "/short/new");
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn mount_on_a_dangling_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(victim.join("new"), bundle.host_path("way"))?;
    tmpfs(&mut bundle, "/way");
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn mount_with_dots_in_its_destination(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    let up = "/..".repeat(20) + &victim.join("new").display().to_string();
    tmpfs(&mut bundle, &up);
    tmpfs(&mut bundle, "/etc/../../../victim/new");
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn file_bind_on_a_symlink_to_a_host_file(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(victim.join("secret"), bundle.host_path("etc/hosts"))?;
    let own = rig.dir.join("own");
    fs::write(&own, "own")?;
    bundle.bind(&own, "/etc/hosts", &["bind"]);
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn file_bind_below_an_absolute_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    let own = rig.dir.join("own");
    fs::write(&own, "own")?;
    bundle.bind(&own, "/way/new", &["bind"]);
    bundle.bind(&own, "/way/secret", &["bind"]);
    host_is_unchanged(rig, &mut bundle, &victim)
}

/// Replaces a directory of the image by a symlink to the host's.
pub fn replaced(rig: &Rig, name: &str) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    fs::remove_dir(bundle.host_path(name))?;
    symlink(&victim, bundle.host_path(name))?;
    host_is_unchanged(rig, &mut bundle, &victim)
}

/// Without a tmpfs at /dev, the mounts below it are made on names of the image.
fn dev_pts_is_a_symlink_in_the_image(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_mount("/dev");
    for name in ["pts", "shm", "mqueue"] {
        symlink(victim.join("dir"), bundle.host_path("dev").join(name))?;
    }
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn device_below_an_absolute_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    symlink(victim.join("new"), bundle.host_path("name"))?;
    for path in ["/way/new", "/name"] {
        let device = json!({"path": path, "type": "c", "major": 1i64, "minor": 3i64, "fileMode": 0o666i64});
        bundle.set("linux.devices[+]", device);
    }
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn device_with_dots_in_its_path(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    let path = "/dev".to_string() + &"/..".repeat(20) + &victim.join("new").display().to_string();
    bundle.set("linux.devices[+]", json!({"path": path, "type": "c", "major": 1i64, "minor": 3i64}));
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn mask_of_a_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    symlink(victim.join("secret"), bundle.host_path("name"))?;
    bundle.set("linux.maskedPaths", json!(["/way", "/way/secret", "/way/dir", "/name"]));
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn readonly_path_of_a_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    symlink(victim.join("secret"), bundle.host_path("name"))?;
    bundle.set("linux.readonlyPaths", json!(["/way", "/way/secret", "/way/dir", "/name"]));
    host_is_unchanged(rig, &mut bundle, &victim)?;
    Ok(fs::write(victim.join("dir/still"), "writable")?)
}

fn tmpcopyup_of_a_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    let options = json!(["tmpcopyup"]);
    bundle.mount(json!({"destination": "/way", "type": "tmpfs", "source": "tmpfs", "options": options}));
    bundle.verbs(&["list", "/way"]);
    let output = rig.run(&bundle, &[])?;
    holds("the host's file is not copied", !output.stdout.contains("secret"))?;
    untouched(&victim)?;
    if output.code() == 0 {
        return output.report().is("list:/way", "");
    }
    rig.failure(&output, &["mounts[6]"])
}

fn proc_at_another_destination_through_a_symlink(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(&victim, bundle.host_path("way"))?;
    bundle.mount(json!({"destination": "/way/dir", "type": "proc", "source": "proc"}));
    bundle.mount(json!({"destination": "/way/dir", "type": "sysfs", "source": "sysfs"}));
    host_is_unchanged(rig, &mut bundle, &victim)
}

fn mount_in_a_loop_of_symlinks(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    symlink("two", bundle.host_path("one"))?;
    symlink("one", bundle.host_path("two"))?;
    tmpfs(&mut bundle, "/one/new");
    rig.rejected(&bundle, &["mounts[6]", "/one/new"])
}
