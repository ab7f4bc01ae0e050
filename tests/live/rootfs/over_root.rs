//! Mounts at `/`: they become the container's root, and nothing of what they cover is left in the mount namespace.

use std::fs;
use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "rootfs",
    bind_over_the_root,
    bind_over_the_root_in_a_user_namespace,
    bind_over_the_root_without_pivot,
    bind_over_the_root_with_hooks,
    two_binds_over_the_root,
    read_only_tmpfs_over_the_root,
    tmpcopyup_of_the_root_is_rejected,
];

/// A tree on the host with the payload, and with a directory by which it is recognized.
fn tree(rig: &Rig, name: &str) -> Outcome<PathBuf> {
    let tree = rig.dir.join(name);
    fs::create_dir_all(tree.join(name))?;
    fs::hard_link(&rig.suite.payload, tree.join("payload"))?;
    Ok(tree)
}

/// A bundle with the mounts of `first` before all others.
fn with_first_mounts(rig: &Rig, first: impl FnOnce(&mut Bundle) -> Outcome) -> Outcome<Bundle> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun mount it below the root, or ignore it");
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

/// A bundle with these trees mounted over the root.
fn with_covered_root(rig: &Rig, names: &[&str], destination: &str) -> Outcome<Bundle> {
    with_first_mounts(rig, |bundle| {
        for name in names {
            bundle.bind(&tree(rig, name)?, destination, &["bind"]);
        }
        Ok(())
    })
}

/// The report of `run` with these options.
fn report_of_run(rig: &Rig, bundle: &mut Bundle, options: &[&str]) -> Outcome<Report> {
    bundle.verbs(&["list", "/", "list", "/..", "mounts", "create", "/new", "list", "/dev/pts"]);
    Ok(rig.run(bundle, options)?.success()?.report())
}

/// Checks that there is only one root, and that it is this tree.
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

fn bind_over_the_root(rig: &mut Rig) -> Outcome {
    for (name, destination) in [("one", "/"), ("two", "/."), ("three", "//"), ("four", "/..")] {
        let mut bundle = with_covered_root(rig, &[name], destination)?;
        is_the_root(&report_of_run(rig, &mut bundle, &[])?, name)?;
        same("the new file is in the tree", rig.dir.join(name).join("new").exists(), true)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn bind_over_the_root_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = with_covered_root(rig, &["one"], "/")?;
    bundle.user_namespace(100_000);
    std::os::unix::fs::chown(rig.dir.join("one"), Some(100_000), Some(100_000))?;
    is_the_root(&report_of_run(rig, &mut bundle, &[])?, "one")
}

fn bind_over_the_root_without_pivot(rig: &mut Rig) -> Outcome {
    let mut bundle = with_covered_root(rig, &["one"], "/")?;
    is_the_root(&report_of_run(rig, &mut bundle, &["--no-pivot"])?, "one")
}

/// While the hooks run, the root is at the path in the bundle.
fn bind_over_the_root_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = with_covered_root(rig, &["one"], "/")?;
    let payload = rig.suite.payload.display().to_string();
    let place = bundle.host_path("one").display().to_string();
    let log = rig.dir.join("log");
    fs::write(&log, "")?;
    let log_path = log.display().to_string();
    let words = ["payload", "into", log_path.as_str(), "stat", place.as_str()].to_vec();
    bundle.set("hooks.createContainer", json!([{"path": payload, "args": words}]));
    is_the_root(&report_of_run(rig, &mut bundle, &[])?, "one")?;
    let report = Report::parse(&fs::read_to_string(&log)?);
    same("the root that the hook saw", report.get(&format!("stat:{place}")).starts_with("d "), true)
}

fn two_binds_over_the_root(rig: &mut Rig) -> Outcome {
    let mut bundle = with_covered_root(rig, &["one", "two"], "/")?;
    is_the_root(&report_of_run(rig, &mut bundle, &[])?, "two")?;
    same("the new file is in the covered tree", rig.dir.join("one/new").exists(), false)
}

fn read_only_tmpfs_over_the_root(rig: &mut Rig) -> Outcome {
    let options = json!(["ro", "size=64k", "nosuid"]);
    let tmpfs = json!({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": options});
    let mut bundle = with_first_mounts(rig, |bundle| {
        bundle.mount(tmpfs);
        Ok(())
    })?;
    bundle.bind(&rig.suite.payload.clone(), "/payload", &["bind", "ro"]);
    let inside = report_of_run(rig, &mut bundle, &[])?;
    inside.is("create:/new", "!EROFS")?;
    inside.mount_has("/", &["ro", "nosuid", "tmpfs", "size=64k"])?;
    same("roots", inside.all("mount:/").len(), 1)
}

/// The copy of the root would be in memory.
fn tmpcopyup_of_the_root_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}));
    rig.rejected(&bundle, &["mounts[6] /", "tmpcopyup"])
}
