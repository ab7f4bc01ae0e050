//! Mounts are made in the order of the list (config.md, "Mounts"): a bind source inside the container's rootfs includes
//! the mounts made before it. All other sources are those of the host.

use std::fs;
use std::os::unix::fs::symlink;

use super::attack::{untouched, victim};
use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, give_to_user};
use crate::{rootless, tests};

tests![
    "rootfs",
    order_of_a_source_on_an_earlier_mount,
    order_of_a_source_below_an_earlier_mount,
    order_of_a_source_by_another_path,
    order_of_a_source_created_by_an_earlier_mount,
    order_of_a_source_made_read_only_by_an_earlier_mount,
    order_of_the_root_as_a_source,
    order_of_a_source_before_the_mount,
    order_in_a_user_namespace,
    order_of_an_ordinary_user,
    order_with_hooks,
    order_without_pivot,
    order_over_the_root,
    order_of_symlinks,
    order_of_a_symlink_to_the_outside,
    order_of_a_source_above_the_root,
    order_of_a_missing_source,
    order_of_an_idmapped_source_is_rejected,
];

/// A bundle in which a directory of the host is bind-mounted at `/mnt`, and then this path of the rootfs at `/fin`.
fn with_earlier_mount(rig: &Rig, path: &str, options: &[&str]) -> Outcome<Bundle> {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("mnt"))?;
    bundle.bind(&source, "/mnt", &["bind"]);
    bundle.bind(&bundle.host_path(path), "/fin", options);
    Ok(bundle)
}

/// Checks that `/fin` shows the files of the earlier mount.
fn includes_earlier_mount(rig: &Rig, mut bundle: Bundle, options: &[&str]) -> Outcome {
    bundle.verbs(&["read", "/fin/file"]);
    rig.run(&bundle, options)?.success()?.report().is("read:/fin/file", "from the host")
}

fn order_of_a_source_on_an_earlier_mount(rig: &mut Rig) -> Outcome {
    for options in [["bind"], ["rbind"]] {
        includes_earlier_mount(rig, with_earlier_mount(rig, "mnt", &options)?, &[])?;
    }
    Ok(())
}

fn order_of_a_source_below_an_earlier_mount(rig: &mut Rig) -> Outcome {
    fs::create_dir_all(source(rig)?.join("deep/er"))?;
    fs::write(source(rig)?.join("deep/er/file"), "from the host")?;
    includes_earlier_mount(rig, with_earlier_mount(rig, "mnt/deep/er", &["bind", "ro"])?, &[])?;
    let mut bundle = with_earlier_mount(rig, "mnt/file", &["bind"])?;
    rig.report(&mut bundle, &["read", "/fin"])?.is("read:/fin", "from the host")
}

/// Through symlinks on the host, and with `.` and `..` components.
fn order_of_a_source_by_another_path(rig: &mut Rig) -> Outcome {
    let paths: [&[&str]; 3] = [&["way", "mnt"], &["way", "..", "rootfs", ".", "mnt", ""], &["straight"]];
    for (index, path) in paths.iter().enumerate() {
        let mut bundle = with_earlier_mount(rig, "mnt", &["bind"])?;
        symlink("rootfs", bundle.dir.join("way"))?;
        symlink("way/mnt", bundle.dir.join("straight"))?;
        let source = path.iter().fold(bundle.dir.clone(), |path, name| path.join(name));
        bundle.set("mounts[7].source", source.display().to_string());
        // The root path of the configuration may be a symlink, too.
        bundle.set("root.path", if index == 1 && !rig.is(Runtime::Runc) { "way" } else { "rootfs" });
        includes_earlier_mount(rig, bundle, &[])?;
    }
    Ok(())
}

/// The source does not exist before that mount.
fn order_of_a_source_created_by_an_earlier_mount(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/new/place", "type": "tmpfs", "options": ["mode=751"]}));
    bundle.bind(&bundle.host_path("new/place"), "/fin", &["bind"]);
    rig.report(&mut bundle, &["stat", "/fin"])?.is("stat:/fin", "d 751 0 0 0:0")
}

/// A mount point below it is created before the earlier mount becomes read-only.
fn order_of_a_source_made_read_only_by_an_earlier_mount(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun create no mount point below it");
    }
    let mut bundle = rig.bundle()?;
    bundle.bind(&source(rig)?, "/mnt", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/mnt/below", "type": "tmpfs"}));
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["bind"]);
    let inside =
        rig.report(&mut bundle, &["create", "/fin/new", "create", "/mnt/new", "create", "/mnt/below/new"])?;
    inside.is("create:/fin/new", "!EROFS")?;
    inside.is("create:/mnt/new", "!EROFS")?;
    inside.is("create:/mnt/below/new", "ok")
}

fn order_of_the_root_as_a_source(rig: &mut Rig) -> Outcome {
    let mut bundle = with_earlier_mount(rig, "/", &["rbind"])?;
    let inside = rig.report(&mut bundle, &["read", "/fin/mnt/file", "stat", "/fin/dev/null"])?;
    inside.is("read:/fin/mnt/file", "from the host")?;
    // The default devices are created after all mounts, on the same tmpfs.
    inside.is("stat:/fin/dev/null", "c 666 0 0 1:3")?;
    // A non-recursive bind mount excludes the mounts below.
    let mut bundle = with_earlier_mount(rig, "/", &["bind"])?;
    rig.report(&mut bundle, &["list", "/fin/mnt"])?.is("list:/fin/mnt", "")
}

/// Later mounts do not change it.
fn order_of_a_source_before_the_mount(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/mnt/file", "beneath")?;
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["rbind"]);
    bundle.bind(&source(rig)?, "/mnt", &["bind"]);
    rig.report(&mut bundle, &["read", "/fin/file"])?.is("read:/fin/file", "beneath")
}

fn order_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun open all of them on the host in that case");
    }
    let mut bundle = with_earlier_mount(rig, "mnt", &["rbind", "ro"])?;
    bundle.file("/fin/beneath", "")?;
    bundle.user_namespace(100_000);
    includes_earlier_mount(rig, bundle, &[])
}

fn order_of_an_ordinary_user(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let source = source(rig)?;
    let mut bundle = rootless::user_namespace_bundle(rig)?;
    fs::create_dir(bundle.host_path("mnt"))?;
    bundle.bind(&source, "/mnt", &["bind"]);
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["rbind"]);
    give_to_user(&bundle.dir)?;
    includes_earlier_mount(rig, bundle, &[])
}

fn order_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = with_earlier_mount(rig, "mnt", &["bind"])?;
    let payload = rig.suite.payload.display().to_string();
    bundle.set("hooks.createRuntime", json!([{"path": payload, "args": ["payload", "stdin"]}]));
    includes_earlier_mount(rig, bundle, &[])
}

fn order_without_pivot(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc fails without pivot_root");
    }
    includes_earlier_mount(rig, with_earlier_mount(rig, "mnt", &["bind"])?, &["--no-pivot"])
}

/// A mount over the root becomes the root: sources in the bundle's rootfs are looked up in it.
fn order_over_the_root(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun do not mount over the root");
    }
    let over = rig.dir.join("over");
    fs::create_dir_all(over.join("mnt"))?;
    fs::hard_link(&rig.suite.payload, over.join("payload"))?;
    fs::write(over.join("mnt/file"), "from the host")?;
    let mut bundle = rig.bundle()?;
    bundle.set("mounts", json!([]));
    bundle.bind(&over, "/", &["bind"]);
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["bind"]);
    bundle.remove("linux.maskedPaths");
    includes_earlier_mount(rig, bundle, &[])
}

/// For symlinks in the last component there are options.
fn order_of_symlinks(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such options");
    }
    symlink("file", source(rig)?.join("link"))?;
    let mut bundle = with_earlier_mount(rig, "mnt/link", &["bind", "copy-symlink"])?;
    rig.report(&mut bundle, &["link", "/fin"])?.is("link:/fin", "file")?;
    let mut bundle = with_earlier_mount(rig, "mnt/file", &["bind", "copy-symlink"])?;
    rig.report(&mut bundle, &["read", "/fin"])?.is("read:/fin", "from the host")?;
    let mut bundle = with_earlier_mount(rig, "mnt/link", &["bind", "src-nofollow", "dest-nofollow"])?;
    symlink("nothing", bundle.host_path("fin"))?;
    rig.report(&mut bundle, &["link", "/fin"])?.is("link:/fin", "file")
}

/// A source may contain symlinks, which are resolved in the container's root.
fn order_of_a_symlink_to_the_outside(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun follow them on the host");
    }
    let victim = victim(rig)?;
    symlink(&victim, source(rig)?.join("out"))?;
    let bundle = with_earlier_mount(rig, "mnt/out", &["bind"])?;
    rig.rejected(&bundle, &["mounts[7] /fin", "mnt/out", "no such file"])?;
    untouched(&victim)?;
    let mut bundle = with_earlier_mount(rig, "mnt/out", &["bind"])?;
    let inside = victim.display().to_string();
    bundle.file(&format!("{inside}/file"), "from the container")?;
    rig.report(&mut bundle, &["read", "/fin/file"])?.is("read:/fin/file", "from the container")?;
    untouched(&victim)
}

/// A source above the rootfs is the host's, without the container's mounts.
fn order_of_a_source_above_the_root(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun show the container's mounts there");
    }
    for options in [&[][..], &["--no-pivot"]] {
        let mut bundle = with_earlier_mount(rig, "..", &["rbind"])?;
        let dir = bundle.dir.clone();
        bundle.set("mounts[7].source", dir.display().to_string());
        bundle.verbs(&["list", "/fin/rootfs/mnt", "list", "/mnt"]);
        let inside = rig.run(&bundle, options)?.success()?.report();
        inside.is("list:/mnt", "file")?;
        inside.is("list:/fin/rootfs/mnt", "")?;
    }
    Ok(())
}

fn order_of_a_missing_source(rig: &mut Rig) -> Outcome {
    let mut bundle = with_earlier_mount(rig, "mnt/none", &["bind"])?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["mounts[7] /fin", "rootfs/mnt/none", "no such file"])
}

fn order_of_an_idmapped_source_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun map the directory below the mount");
    }
    let mut bundle = with_earlier_mount(rig, "mnt", &["bind", "idmap=uids=0-1-10;gids=0-1-10"])?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["mounts[7] /fin", "rootfs/mnt", "inside the container's root"])
}
