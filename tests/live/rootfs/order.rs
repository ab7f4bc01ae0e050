//! Mounts are made in the order of their list: a source inside the container's own root is what the mounts before it
//! have made of it. All other sources are the host's.

use std::fs;
use std::os::unix::fs::symlink;

use super::attack::{untouched, victim};
use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::rootless::{as_ordinary_user, give_to_user};
use crate::{rootless, tests};

tests![
    "rootfs",
    order_of_a_source_on_an_earlier_mount,
    order_of_a_source_below_an_earlier_mount,
    order_of_a_source_by_another_path,
    order_of_a_source_that_an_earlier_mount_makes,
    order_of_a_source_that_an_earlier_mount_makes_read_only,
    order_of_the_root_as_a_source,
    order_of_a_source_before_the_mount,
    order_in_a_user_namespace,
    order_of_an_ordinary_user,
    order_with_hooks,
    order_without_pivot,
    order_over_the_root,
    order_of_links,
    order_of_a_link_that_leads_outside,
    order_of_a_source_above_the_root,
    order_of_a_missing_source,
    order_of_an_idmapped_source_is_rejected,
];

/// A bundle in which a directory of the host is bound to `/mnt`, and then this path of the root to `/fin`.
fn twice(rig: &Rig, path: &str, options: &[&str]) -> Outcome<Bundle> {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("mnt"))?;
    bundle.bind(&source, "/mnt", &["bind"]);
    bundle.bind(&bundle.host_path(path), "/fin", options);
    Ok(bundle)
}

/// There is what the mount before has brought.
fn comes_along(rig: &Rig, mut bundle: Bundle, options: &[&str]) -> Outcome {
    bundle.verbs(&["read", "/fin/file"]);
    rig.run(&bundle, options)?.success()?.report().is("read:/fin/file", "from the host")
}

fn order_of_a_source_on_an_earlier_mount(rig: &mut Rig) -> Outcome {
    for options in [["bind"], ["rbind"]] {
        comes_along(rig, twice(rig, "mnt", &options)?, &[])?;
    }
    Ok(())
}

fn order_of_a_source_below_an_earlier_mount(rig: &mut Rig) -> Outcome {
    fs::create_dir_all(source(rig)?.join("deep/er"))?;
    fs::write(source(rig)?.join("deep/er/file"), "from the host")?;
    comes_along(rig, twice(rig, "mnt/deep/er", &["bind", "ro"])?, &[])?;
    let mut bundle = twice(rig, "mnt/file", &["bind"])?;
    rig.report(&mut bundle, &["read", "/fin"])?.is("read:/fin", "from the host")
}

/// Through links on the host, and with names that say nothing.
fn order_of_a_source_by_another_path(rig: &mut Rig) -> Outcome {
    let paths: [&[&str]; 3] = [&["way", "mnt"], &["way", "..", "rootfs", ".", "mnt", ""], &["straight"]];
    for (index, path) in paths.iter().enumerate() {
        let mut bundle = twice(rig, "mnt", &["bind"])?;
        symlink("rootfs", bundle.dir.join("way"))?;
        symlink("way/mnt", bundle.dir.join("straight"))?;
        let source = path.iter().fold(bundle.dir.clone(), |path, name| path.join(name));
        bundle.set("mounts[7].source", source.display().to_string());
        // The root's own path may be another one, too.
        bundle.set("root.path", if index == 1 && !rig.is(Runtime::Runc) { "way" } else { "rootfs" });
        comes_along(rig, bundle, &[])?;
    }
    Ok(())
}

/// It is not there before.
fn order_of_a_source_that_an_earlier_mount_makes(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/new/place", "type": "tmpfs", "options": ["mode=751"]}));
    bundle.bind(&bundle.host_path("new/place"), "/fin", &["bind"]);
    rig.report(&mut bundle, &["stat", "/fin"])?.is("stat:/fin", "d 751 0 0 0:0")
}

/// With a mount point to be made below it, after which it becomes so.
fn order_of_a_source_that_an_earlier_mount_makes_read_only(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make no mount point below it");
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
    let mut bundle = twice(rig, "/", &["rbind"])?;
    let inside = rig.report(&mut bundle, &["read", "/fin/mnt/file", "stat", "/fin/dev/null"])?;
    inside.is("read:/fin/mnt/file", "from the host")?;
    // Made after all mounts, on the same tmpfs.
    inside.is("stat:/fin/dev/null", "c 666 0 0 1:3")?;
    // Not what is mounted below.
    let mut bundle = twice(rig, "/", &["bind"])?;
    rig.report(&mut bundle, &["list", "/fin/mnt"])?.is("list:/fin/mnt", "")
}

/// The mounts behind it change nothing of it.
fn order_of_a_source_before_the_mount(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/mnt/file", "beneath")?;
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["rbind"]);
    bundle.bind(&source(rig)?, "/mnt", &["bind"]);
    rig.report(&mut bundle, &["read", "/fin/file"])?.is("read:/fin/file", "beneath")
}

fn order_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun open all of them on the host then");
    }
    let mut bundle = twice(rig, "mnt", &["rbind", "ro"])?;
    bundle.file("/fin/beneath", "")?;
    bundle.user_namespace(100_000);
    comes_along(rig, bundle, &[])
}

fn order_of_an_ordinary_user(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let source = source(rig)?;
    let mut bundle = rootless::user_namespace_bundle(rig)?;
    fs::create_dir(bundle.host_path("mnt"))?;
    bundle.bind(&source, "/mnt", &["bind"]);
    bundle.bind(&bundle.host_path("mnt"), "/fin", &["rbind"]);
    give_to_user(&bundle.dir)?;
    comes_along(rig, bundle, &[])
}

fn order_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = twice(rig, "mnt", &["bind"])?;
    let payload = rig.suite.payload.display().to_string();
    bundle.set("hooks.createRuntime", json!([{"path": payload, "args": ["payload", "stdin"]}]));
    comes_along(rig, bundle, &[])
}

fn order_without_pivot(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc cannot do without");
    }
    comes_along(rig, twice(rig, "mnt", &["bind"])?, &["--no-pivot"])
}

/// What is mounted over the root is the root: a source in the bundle's is looked for there.
fn order_over_the_root(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make no mount over the root");
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
    comes_along(rig, bundle, &[])
}

/// Of the last name, for which there are words.
fn order_of_links(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such words");
    }
    symlink("file", source(rig)?.join("link"))?;
    let mut bundle = twice(rig, "mnt/link", &["bind", "copy-symlink"])?;
    rig.report(&mut bundle, &["link", "/fin"])?.is("link:/fin", "file")?;
    let mut bundle = twice(rig, "mnt/file", &["bind", "copy-symlink"])?;
    rig.report(&mut bundle, &["read", "/fin"])?.is("read:/fin", "from the host")?;
    let mut bundle = twice(rig, "mnt/link", &["bind", "src-nofollow", "dest-nofollow"])?;
    symlink("nothing", bundle.host_path("fin"))?;
    rig.report(&mut bundle, &["link", "/fin"])?.is("link:/fin", "file")
}

/// What is bound may have any links: inside they lead to where they do in the container.
fn order_of_a_link_that_leads_outside(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun follow them on the host");
    }
    let victim = victim(rig)?;
    symlink(&victim, source(rig)?.join("out"))?;
    let bundle = twice(rig, "mnt/out", &["bind"])?;
    rig.rejected(&bundle, &["mounts[7] /fin", "mnt/out", "no such file"])?;
    untouched(&victim)?;
    let mut bundle = twice(rig, "mnt/out", &["bind"])?;
    let inside = victim.display().to_string();
    bundle.file(&format!("{inside}/file"), "from the container")?;
    rig.report(&mut bundle, &["read", "/fin/file"])?.is("read:/fin/file", "from the container")?;
    untouched(&victim)
}

/// That is the host's tree, as it is on the host.
fn order_of_a_source_above_the_root(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun show the container's mounts there");
    }
    for options in [&[][..], &["--no-pivot"]] {
        let mut bundle = twice(rig, "..", &["rbind"])?;
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
    let mut bundle = twice(rig, "mnt/none", &["bind"])?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["mounts[7] /fin", "rootfs/mnt/none", "no such file"])
}

fn order_of_an_idmapped_source_is_rejected(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun map what is beneath");
    }
    let mut bundle = twice(rig, "mnt", &["bind", "idmap=uids=0-1-10;gids=0-1-10"])?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["mounts[7] /fin", "rootfs/mnt", "inside the container's root"])
}
