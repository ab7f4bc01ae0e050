//! Mount namespaces without the host's mounts: the time of a start must not depend on how many there are.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use super::{is_on_initramfs, source};
use crate::check::{Outcome, different, fail, holds, same, skip, skip_allowed};
use crate::command::{run, start};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "rootfs",
    host_mounts_are_not_copied,
    host_mounts_are_not_copied_with_hooks_before,
    host_mounts_and_a_pin_that_is_an_ordinary_file,
    host_mounts_and_a_pin_that_others_can_replace,
    host_mounts_are_not_beneath_the_root,
    host_mounts_are_not_beneath_the_root_without_pivot,
    host_mounts_and_a_source_with_propagation,
    host_mounts_and_devices_without_the_capability,
];

/// The number of mounts of the runtime's caller: more than other tests make during one of these.
const MANY: u64 = 5000;

/// Makes the runtime's caller have many mounts, in a mount namespace of its own.
fn many_mounts(rig: &mut Rig) -> Outcome {
    let place = rig.dir.join("mounted");
    fs::create_dir(&place)?;
    if sys::mounts::unique_mount_id(&place)? == 0 {
        return skip_allowed("this kernel does not tell how many mounts were made (linux 6.8)");
    }
    let mut command = rig.host(&["say", "mounted", "stdin"]);
    sys::before_exec(&mut command, move || {
        sys::unshare(libc::CLONE_NEWNS)?;
        let text = place.display().to_string();
        (0..MANY).try_for_each(|_| sys::mount(&text, &place, "", libc::MS_BIND, ""))
    });
    let mut holder = start(&mut command, true)?;
    holder.lines.until("say=mounted")?;
    rig.mounts = Some(File::open(format!("/proc/{}/ns/mnt", holder.pid()))?);
    holder.status().map(drop)
}

/// Runs a container; returns how many mounts were made meanwhile, on the whole machine.
fn mounts_made_by(rig: &Rig, options: &[&str]) -> Outcome<u64> {
    let place = rig.dir.join("counted");
    fs::create_dir_all(&place)?;
    let next = || -> Outcome<u64> {
        sys::mount("none", &place, "tmpfs", 0, "")?;
        let id = sys::mounts::unique_mount_id(&place)?;
        sys::umount(&place)?;
        Ok(id)
    };
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["list", "/", "list", "/..", "mounts"]);
    let before = next()?;
    let inside = rig.run(&bundle, options)?.success()?.report();
    let made = next()? - before;
    for path in ["/", "/.."] {
        inside.is(&format!("list:{path}"), "dev etc payload proc sys tmp")?;
    }
    same("mounts at /", inside.all("mount:/").len(), 1)?;
    Ok(made)
}

/// Makes the caller have many mounts, and runs containers until a mount namespace is pinned, if this kernel has no
/// empty ones (linux 7.1).
fn prepared(rig: &mut Rig) -> Outcome {
    let empty = run(&mut rig.host(&["unshare", "empty"]), "")?.report();
    if empty.get("unshare") != "ok" && is_on_initramfs(rig)? {
        // pivot_root(2) cannot replace its root.
        return skip("no mount namespace is pinned on an initramfs");
    }
    many_mounts(rig)?;
    let pin = format!("mount:{}/.mount-namespace/pin", rig.state.display());
    // The kernel may deny it: see `bind.rs`, `pin_mount_namespace`.
    for _ in 0..100 {
        mounts_made_by(rig, &[])?;
        let mounts = run(&mut rig.host(&["mounts"]), "")?.report();
        if empty.get("unshare") == "ok" || mounts.keys("mount:").iter().any(|place| pin.ends_with(place)) {
            return Ok(());
        }
    }
    skip_allowed("each mount namespace has a lower id than this one")
}

/// Checks that the host's mounts are not copied. Other tests may make as many mounts meanwhile, but not each time.
fn not_copied(rig: &Rig, options: &[&str]) -> Outcome {
    for _ in 0..20 {
        if mounts_made_by(rig, options)? < MANY {
            return Ok(());
        }
    }
    fail("the host's mounts are copied")
}

fn host_mounts_are_not_copied(rig: &mut Rig) -> Outcome {
    prepared(rig)?;
    not_copied(rig, &[])?;
    not_copied(rig, &["--no-pivot"])?;
    rig.nothing_left()
}

/// Hooks before pivot_root need the host's mounts.
fn host_mounts_are_not_copied_with_hooks_before(rig: &mut Rig) -> Outcome {
    prepared(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("hooks.createContainer", json!([{"path": "/bin/true"}]));
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")?;
    bundle.remove("hooks");
    bundle.user_namespace(100_000);
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")
}

/// As seen from a mount namespace in which the pin was not mounted.
fn host_mounts_and_a_pin_that_is_an_ordinary_file(rig: &mut Rig) -> Outcome {
    let directory = rig.state.join(".mount-namespace");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("pin"), "")?;
    let mut bundle = rig.bundle()?;
    rig.report(&mut bundle, &["list", "/"])?.is("list:/", "dev etc payload proc sys tmp")?;
    prepared(rig)?;
    not_copied(rig, &[])
}

fn host_mounts_and_a_pin_that_others_can_replace(rig: &mut Rig) -> Outcome {
    prepared(rig)?;
    let empty = run(&mut rig.host(&["unshare", "empty"]), "")?.report();
    if empty.get("unshare") == "ok" {
        return skip_allowed("no mount namespace is pinned (linux 7.1)");
    }
    not_copied(rig, &[])?;
    fs::set_permissions(rig.state.join(".mount-namespace"), fs::Permissions::from_mode(0o777))?;
    let made = mounts_made_by(rig, &[])?;
    holds(&format!("{made} mounts are made"), made >= MANY)
}

/// With all privileges a process can unmount its root and look beneath it.
fn nothing_beneath(rig: &Rig, options: &[&str]) -> Outcome {
    let mut bundle = rig.bundle()?;
    for set in ["bounding", "effective", "permitted"] {
        for name in ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"] {
            bundle.set(&format!("process.capabilities.{set}[+]"), name);
        }
    }
    bundle.verbs(&["beneath"]);
    let inside = rig.run(&bundle, options)?.success()?.report();
    // The kernel's first mount, the initramfs, may be there, but nothing that was mounted later.
    let names = |path| -> Outcome<String> {
        let names =
            fs::read_dir(path)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names.join(" "))
    };
    different("the directory beneath the root", inside.get("beneath"), names("/")?)
}

fn host_mounts_are_not_beneath_the_root(rig: &mut Rig) -> Outcome {
    // The initramfs itself remains beneath.
    if !is_on_initramfs(rig)? {
        nothing_beneath(rig, &[])?;
    }
    prepared(rig)?;
    nothing_beneath(rig, &[])
}

fn host_mounts_are_not_beneath_the_root_without_pivot(rig: &mut Rig) -> Outcome {
    prepared(rig)?;
    nothing_beneath(rig, &["--no-pivot"])
}

/// A volume receives mounts that are made later on the host (rslave), and the pin is not part of one.
fn host_mounts_and_a_source_with_propagation(rig: &mut Rig) -> Outcome {
    prepared(rig)?;
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source, "/data", &["rbind", "rslave"]);
    bundle.bind(&rig.state, "/state", &["rbind"]);
    bundle.verbs(&["read", "/data/file", "mounts", "say", "ready", "wait", "1"]);
    let mut running = rig.spawn(&bundle, &[])?;
    let report = running.lines.until("say=ready")?;
    report.is("read:/data/file", "from the host")?;
    let joined = run(&mut rig.command(&["exec", &rig.id, "/payload", "list", "/"]), "")?;
    joined.success()?.report().is("list:/", "data dev etc payload proc state sys tmp")?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    running.status().map(drop)?;
    let below = report.keys("mount:").iter().filter(|place| place.starts_with("/state/")).count();
    same("mounts below the state directory", below, 0)
}

/// The host's nodes are bind-mounted if mknod(2) is denied, also without the host's mounts. One that is missing on the
/// host is in the error message, and is no problem for those before it.
fn host_mounts_and_devices_without_the_capability(rig: &mut Rig) -> Outcome {
    const CAP_MKNOD: u32 = 27;
    prepared(rig)?;
    rig.around = Some(|_| sys::caller::drop_from_bounding_set(CAP_MKNOD));
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["open_rw", "/dev/null", "open_rw", "/dev/zero", "list", "/"]);
    // A kernel without empty mount namespaces may deny the pinned one now and then.
    let inside = rig.run(&bundle, &[])?.success()?.report();
    for path in ["/dev/null", "/dev/zero"] {
        inside.is(&format!("open_rw:{path}"), "ok")?;
    }
    inside.is("list:/", "dev etc payload proc sys tmp")?;
    let missing = json!({"path": "/dev/of-no-host", "type": "c", "major": 1i64, "minor": 3i64});
    bundle.set("linux.devices", json!([]));
    bundle.set("linux.devices[+]", missing);
    rig.rejected(&bundle, &["linux.devices", "open_tree /dev/of-no-host: no such file or directory"])
}
