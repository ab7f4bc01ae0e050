//! Mounts whose destination is the root: they are the root from there on, and nothing of what they cover is left.

use std::fs;
use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::report::Report;
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::tests;

tests![
    "rootfs",
    a_bind_over_the_root,
    a_bind_over_the_root_in_a_user_namespace,
    a_bind_over_the_root_without_pivot,
    a_bind_over_the_root_with_hooks,
    two_over_the_root,
    a_read_only_tmpfs_over_the_root,
    copying_up_the_root_is_rejected,
];

/// A tree of the host's with the payload, and a directory to tell it by.
fn tree(rig: &Rig, name: &str) -> Outcome<PathBuf> {
    let tree = rig.dir.join(name);
    fs::create_dir_all(tree.join(name))?;
    fs::hard_link(&rig.suite.payload, tree.join("payload"))?;
    Ok(tree)
}

/// A bundle to whose mounts `first` adds some that come before the others.
fn beginning(rig: &Rig, first: impl FnOnce(&mut Bundle) -> Outcome) -> Outcome<Bundle> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make it, or ignore it");
    }
    let mut bundle = rig.bundle()?;
    let others = bundle.config.at("mounts").clone();
    bundle.set("mounts", json!([]));
    first(&mut bundle)?;
    for mount in others.items() {
        bundle.mount(mount.clone());
    }
    Ok(bundle)
}

/// One whose mounts begin with trees over the root.
fn covered(rig: &Rig, names: &[&str], destination: &str) -> Outcome<Bundle> {
    beginning(rig, |bundle| {
        for name in names {
            bundle.bind(&tree(rig, name)?, destination, &["bind"]);
        }
        Ok(())
    })
}

/// What is seen from inside, with options of `run`.
fn seen(rig: &Rig, bundle: &mut Bundle, options: &[&str]) -> Outcome<Report> {
    bundle.verbs(&["list", "/", "list", "/..", "mounts", "create", "/new", "list", "/dev/pts"]);
    Ok(rig.run(bundle, options)?.success()?.report())
}

/// Only one root is there, and it is this one.
fn is_the_root(inside: &Report, name: &str) -> Outcome {
    let list = format!("dev {name} payload proc sys");
    let sorted = |list: &str| {
        let mut names: Vec<String> = list.split(' ').map(String::from).collect();
        names.sort();
        names
    };
    for place in ["/", "/.."] {
        same(place, sorted(inside.get(&format!("list:{place}"))), sorted(&list))?;
    }
    same("roots", inside.all("mount:/").len(), 1)?;
    inside.is("list:/dev/pts", "ptmx")?;
    inside.is("create:/new", "ok")
}

fn a_bind_over_the_root(rig: &mut Rig) -> Outcome {
    for (name, destination) in [("one", "/"), ("two", "/."), ("three", "//"), ("four", "/..")] {
        let mut bundle = covered(rig, &[name], destination)?;
        is_the_root(&seen(rig, &mut bundle, &[])?, name)?;
        same("made below", rig.dir.join(name).join("new").exists(), true)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn a_bind_over_the_root_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = covered(rig, &["one"], "/")?;
    bundle.user_namespace(100_000);
    std::os::unix::fs::chown(rig.dir.join("one"), Some(100_000), Some(100_000))?;
    is_the_root(&seen(rig, &mut bundle, &[])?, "one")
}

fn a_bind_over_the_root_without_pivot(rig: &mut Rig) -> Outcome {
    let mut bundle = covered(rig, &["one"], "/")?;
    is_the_root(&seen(rig, &mut bundle, &["--no-pivot"])?, "one")
}

/// Then the root is where the bundle has it while they run.
fn a_bind_over_the_root_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = covered(rig, &["one"], "/")?;
    let payload = rig.suite.payload.display().to_string();
    let place = bundle.host_path("one").display().to_string();
    let log = rig.dir.join("log");
    fs::write(&log, "")?;
    let log_path = log.display().to_string();
    let words = ["payload", "into", log_path.as_str(), "stat", place.as_str()].to_vec();
    bundle.set("hooks.createContainer", json!([{"path": payload, "args": words}]));
    is_the_root(&seen(rig, &mut bundle, &[])?, "one")?;
    let said = Report::parse(&fs::read_to_string(&log)?);
    same("what the hook saw there", said.get(&format!("stat:{place}")).starts_with("d "), true)
}

fn two_over_the_root(rig: &mut Rig) -> Outcome {
    let mut bundle = covered(rig, &["one", "two"], "/")?;
    is_the_root(&seen(rig, &mut bundle, &[])?, "two")?;
    same("made in the covered one", rig.dir.join("one/new").exists(), false)
}

fn a_read_only_tmpfs_over_the_root(rig: &mut Rig) -> Outcome {
    let options = json!(["ro", "size=64k", "nosuid"]);
    let tmpfs = json!({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": options});
    let mut bundle = beginning(rig, |bundle| {
        bundle.mount(tmpfs);
        Ok(())
    })?;
    bundle.bind(&rig.suite.payload.clone(), "/payload", &["bind", "ro"]);
    let inside = seen(rig, &mut bundle, &[])?;
    inside.is("create:/new", "!EROFS")?;
    inside.mount_has("/", &["ro", "nosuid", "tmpfs", "size=64k"])?;
    same("roots", inside.all("mount:/").len(), 1)
}

/// All of it would be in memory.
fn copying_up_the_root_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
    rig.rejected(&bundle, &["mounts[6] /", "tmpcopyup"])
}
