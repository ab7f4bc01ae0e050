//! Cgroups given away: whose they are, and where the container's process is.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::unified_top;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::remove_cgroup;
use crate::command::start;
use crate::json;
use crate::rig::{Layout, Runtime, Rig};
use crate::tests;

tests![
    "cgroups",
    cgroup_of_root_in_a_user_namespace,
    cgroup_of_another_user,
    cgroup_that_is_mounted_read_only_is_not_given,
    cgroup_without_a_namespace_is_not_given,
    cgroup_above_with_processes_is_left,
    delegated_cgroup_below,
    delegated_cgroup_below_is_its_roots,
    delegated_cgroup_that_leads_out_is_rejected,
    delegated_cgroup_of_v1_is_rejected,
];

const FILES: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
const FIRST: u32 = 100_000;

/// The same on v2 alone.
fn bundle(rig: &mut Rig, options: &[&str]) -> Outcome<Bundle> {
    rig.set_layout(Layout::V2)?;
    with_mount(rig, options)
}

/// With a cgroup namespace and a mount of its own cgroups.
pub fn with_mount(rig: &Rig, options: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.namespace("cgroup", None);
    let options = options.to_vec();
    bundle.mount(
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}),
    );
    Ok(bundle)
}

/// The owners of a cgroup on the host and of its files: of who makes cgroups there, and the others.
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

/// Starts it, looks, and tries to make a cgroup from inside.
fn given(rig: &mut Rig, bundle: &mut Bundle, owner: u32, made: &str) -> Outcome {
    bundle.verbs(&["mkdir", "/sys/fs/cgroup/new", "wait", "1"]);
    let mut running = rig.create(bundle, &[])?;
    owners(rig, "", owner)?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?.is("mkdir:/sys/fs/cgroup/new", made)?;
    rig.delete()
}

fn cgroup_of_root_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.user_namespace(FIRST.into());
    given(rig, &mut bundle, FIRST, "ok")
}

fn cgroup_of_another_user(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun give it away in a user namespace alone");
    }
    let mut bundle = bundle(rig, &[])?;
    bundle.set("process.user.uid", 77i64);
    given(rig, &mut bundle, 77, "ok")
}

fn cgroup_that_is_mounted_read_only_is_not_given(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun gives it away all the same");
    }
    let mut bundle = bundle(rig, &["ro"])?;
    bundle.user_namespace(FIRST.into());
    given(rig, &mut bundle, 0, "!EROFS")
}

fn cgroup_without_a_namespace_is_not_given(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun give it away all the same");
    }
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.without_namespace("cgroup");
    bundle.user_namespace(FIRST.into());
    given(rig, &mut bundle, 0, "!EACCES")
}

/// As where mote itself is in a container: it would be threaded, and all below it.
fn cgroup_above_with_processes_is_left(rig: &mut Rig) -> Outcome {
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
    holds("it is gone", !above.exists())
}

fn below(rig: &mut Rig, name: &str) -> Outcome<Bundle> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc knows no such annotation");
    }
    let mut bundle = bundle(rig, &["rw"])?;
    bundle.set("annotations.\"run.oci.delegate-cgroup\"", name);
    Ok(bundle)
}

/// The namespace's root is the container's cgroup, with its limits out of reach; controllers are handed down.
fn delegated_cgroup_below(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "inner")?;
    bundle.verbs(&["read", "/proc/self/cgroup", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    let top = unified_top().join(&rig.cgroup);
    let pid = rig.pid()?.to_string();
    same("who is in it", fs::read_to_string(top.join("inner/cgroup.procs"))?.trim(), pid.as_str())?;
    same("who is above", fs::read_to_string(top.join("cgroup.procs"))?.as_str(), "")?;
    let [handed, had] = ["cgroup.subtree_control", "cgroup.controllers"].map(|name| top.join(name));
    same("controllers", fs::read_to_string(handed)?, fs::read_to_string(had)?)?;
    rig.mote(&["start", &rig.id])?.success()?;
    let said = running.lines.until("waiting=1")?;
    contains("its cgroups", said.get("read:/proc/self/cgroup"), "0::/inner\n")?;
    rig.mote(&["exec", &rig.id, "/payload", "say", "in"])?.success()?.report().is("say", "in")?;
    rig.delete()?;
    rig.nothing_left()
}

fn delegated_cgroup_below_is_its_roots(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "/a/b")?;
    bundle.user_namespace(FIRST.into());
    bundle.verbs(&["mkdir", "/sys/fs/cgroup/a/b/c", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    owners(rig, "a/b", FIRST)?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?.is("mkdir:/sys/fs/cgroup/a/b/c", "ok")?;
    rig.delete()
}

fn delegated_cgroup_that_leads_out_is_rejected(rig: &mut Rig) -> Outcome {
    for name in ["..", "../../../victim", "../escape", "a/../b", ""] {
        let mut bundle = below(rig, name)?;
        bundle.verbs(&[]);
        rig.rejected(&bundle, &["annotations.run.oci.delegate-cgroup: must not"])?;
    }
    Ok(())
}

fn delegated_cgroup_of_v1_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = below(rig, "inner")?;
    rig.set_layout(Layout::V1)?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["annotations.run.oci.delegate-cgroup: supported only with cgroup v2 alone"])
}
