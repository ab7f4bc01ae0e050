//! Delegation to the container: the owner of its cgroup and of the cgroup's files, and the cgroup of its init
//! (config-linux.md, "Cgroup ownership"; cgroups(7)).

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::unified_top;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::remove_cgroup;
use crate::command::start;
use crate::json;
use crate::rig::{Layout, Rig, Runtime};
use crate::tests;

tests![
    "cgroups",
    cgroup_belongs_to_root_of_a_user_namespace,
    cgroup_belongs_to_the_user_of_the_process,
    cgroup_mounted_read_only_is_not_delegated,
    cgroup_without_a_namespace_is_not_delegated,
    cgroup_with_processes_above_is_not_changed,
    delegated_cgroup_below,
    delegated_cgroup_below_belongs_to_root_of_a_user_namespace,
    delegated_cgroup_outside_is_rejected,
    delegated_cgroup_on_v1_is_rejected,
];

const FILES: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
const FIRST: u32 = 100_000;

/// A bundle with a cgroup mount, on v2 only.
fn bundle(rig: &mut Rig, options: &[&str]) -> Outcome<Bundle> {
    rig.set_layout(Layout::V2)?;
    with_mount(rig, options)
}

/// A bundle with a cgroup namespace and a cgroup mount.
pub fn with_mount(rig: &Rig, options: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    let options = options.to_vec();
    bundle.mount(
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}),
    );
    Ok(bundle)
}

/// Checks the owners of a cgroup on the host: of the files that delegation gives away (cgroups(7)), and of the others.
fn owners(rig: &Rig, below: &str, want: u32) -> Outcome {
    let directory = unified_top().join(&rig.cgroup).join(below);
    same("the owner", fs::metadata(&directory)?.uid(), want)?;
    for name in FILES {
        same(name, fs::metadata(directory.join(name))?.uid(), want)?;
    }
    for name in ["cgroup.freeze", "cgroup.max.depth"] {
        same(name, fs::metadata(directory.join(name))?.uid(), 0)?;
    }
    Ok(())
}

/// Creates the container, checks the owner of its cgroup, starts it, and creates a cgroup in the container.
fn delegated(rig: &mut Rig, bundle: &mut Bundle, owner: u32, made: &str) -> Outcome {
    bundle.verbs(&["mkdir", "/sys/fs/cgroup/new", "wait", "1"]);
    let mut running = rig.create(bundle, &[])?;
    owners(rig, "", owner)?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?.is("mkdir:/sys/fs/cgroup/new", made)?;
    rig.delete()
}

fn cgroup_belongs_to_root_of_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.user_namespace(FIRST.into());
    delegated(rig, &mut bundle, FIRST, "ok")
}

fn cgroup_belongs_to_the_user_of_the_process(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun delegate it only in a user namespace");
    }
    let mut bundle = bundle(rig, &[])?;
    bundle.set("process.user.uid", 77i64);
    delegated(rig, &mut bundle, 77, "ok")
}

fn cgroup_mounted_read_only_is_not_delegated(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun delegates it nevertheless");
    }
    let mut bundle = bundle(rig, &["ro"])?;
    bundle.user_namespace(FIRST.into());
    delegated(rig, &mut bundle, 0, "!EROFS")
}

fn cgroup_without_a_namespace_is_not_delegated(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun delegate it nevertheless");
    }
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.without_namespace("cgroup");
    bundle.user_namespace(FIRST.into());
    delegated(rig, &mut bundle, 0, "!EACCES")
}

/// As if mote itself ran in a container: the parent cgroup would become threaded, and all cgroups below it.
fn cgroup_with_processes_above_is_not_changed(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let above = unified_top().join(&rig.cgroup);
    fs::create_dir(&above)?;
    let mut holder = start(&mut rig.host(&["say", "held", "stdin"]), true)?;
    holder.lines.until("say=held")?;
    fs::write(above.join("cgroup.procs"), holder.pid().to_string())?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
    rig.report(&mut bundle, &["say", "in"])?.is("say", "in")?;
    for (name, want) in [("cgroup.type", "domain"), ("cgroup.subtree_control", "")] {
        same(name, fs::read_to_string(above.join(name))?.trim(), want)?;
    }
    holder.close_input();
    holder.status()?;
    remove_cgroup(&above);
    holds("the cgroup above is removed", !above.exists())
}

fn below(rig: &mut Rig, name: &str) -> Outcome<Bundle> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such annotation");
    }
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.set("annotations.\"run.oci.delegate-cgroup\"", name);
    Ok(bundle)
}

/// The root of the cgroup namespace is the container's cgroup, whose limits the container cannot change; controllers
/// are enabled in it.
fn delegated_cgroup_below(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "inner")?;
    bundle.verbs(&["read", "/proc/self/cgroup", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    let top = unified_top().join(&rig.cgroup);
    let pid = rig.pid()?.to_string();
    same(
        "processes of the cgroup",
        fs::read_to_string(top.join("inner/cgroup.procs"))?.trim(),
        pid.as_str(),
    )?;
    same("processes of the cgroup above", fs::read_to_string(top.join("cgroup.procs"))?.as_str(), "")?;
    let [handed, had] = ["cgroup.subtree_control", "cgroup.controllers"].map(|name| top.join(name));
    same("controllers", fs::read_to_string(handed)?, fs::read_to_string(had)?)?;
    rig.mote(&["start", &rig.id])?.success()?;
    let report = running.lines.until("waiting=1")?;
    contains("the cgroup", report.get("read:/proc/self/cgroup"), "0::/inner\n")?;
    rig.mote(&["exec", &rig.id, "/payload", "say", "in"])?.success()?.report().is("say", "in")?;
    rig.delete()?;
    rig.nothing_left()
}

fn delegated_cgroup_below_belongs_to_root_of_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "/a/b")?;
    bundle.user_namespace(FIRST.into());
    bundle.verbs(&["mkdir", "/sys/fs/cgroup/a/b/c", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    owners(rig, "a/b", FIRST)?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?.is("mkdir:/sys/fs/cgroup/a/b/c", "ok")?;
    rig.delete()
}

fn delegated_cgroup_outside_is_rejected(rig: &mut Rig) -> Outcome {
    for name in ["..", "../../../victim", "../escape", "a/../b", ""] {
        let mut bundle = below(rig, name)?;
        bundle.verbs(&[]);
        rig.rejected(&bundle, &["annotations.run.oci.delegate-cgroup: must not"])?;
    }
    Ok(())
}

fn delegated_cgroup_on_v1_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "inner")?;
    rig.set_layout(Layout::V1)?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["annotations.run.oci.delegate-cgroup: supported only with cgroup v2 alone"])
}
