//! Mounts of type `cgroup`: the container sees its own cgroup, in the layout of the machine.

use crate::check::{Outcome, contains, different, same, skip_allowed};
use crate::json;
use crate::report::Report;
use crate::rig::{Layout, Rig, Runtime};
use crate::tests;

tests![
    "rootfs",
    cgroup_of_the_machine,
    cgroup_v1,
    cgroup_v1_in_a_cgroup_namespace,
    cgroup_v1_without_access_times,
    cgroup_v2,
    cgroup_v2_in_a_cgroup_namespace,
    cgroup_writable_when_not_read_only,
];

const TOP: &str = "/sys/fs/cgroup";

/// The report of a container with a cgroup mount, in whose cgroup the container init is the only process.
fn report_with_mount(rig: &Rig, namespace: bool, option: &str, verbs: &[&str]) -> Outcome<Report> {
    let mut bundle = rig.bundle()?;
    let options = vec!["nosuid", "noexec", "nodev", option];
    bundle.mount(json!({"destination": TOP, "type": "cgroup", "source": "cgroup", "options": options}));
    if namespace {
        bundle.namespace("cgroup", None);
    }
    rig.report(&mut bundle, verbs)
}

fn v1(rig: &mut Rig, namespace: bool) -> Outcome {
    rig.set_layout(Layout::V1)?;
    let procs = "/sys/fs/cgroup/pids/cgroup.procs";
    let verbs = ["mounts", "read", procs, "mkdir", "/sys/fs/cgroup/pids/new", "list", TOP];
    let inside = report_with_mount(rig, namespace, "ro", &verbs)?;
    contains("the mountinfo line", inside.get("mount:/sys/fs/cgroup"), " - tmpfs ")?;
    contains("the mountinfo line", inside.get("mount:/sys/fs/cgroup/pids"), " - cgroup ")?;
    inside.is(&format!("read:{procs}"), "1\n")?;
    inside.is("mkdir:/sys/fs/cgroup/pids/new", "!EROFS")
}

/// Without a cgroup namespace, the hierarchy is visible from its root.
fn v2(rig: &mut Rig, namespace: bool) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let procs = "/sys/fs/cgroup/cgroup.procs";
    let verbs = ["mounts", "read", procs, "mkdir", "/sys/fs/cgroup/new"];
    let inside = report_with_mount(rig, namespace, "ro", &verbs)?;
    contains("the mountinfo line", inside.get("mount:/sys/fs/cgroup"), " - cgroup2 ")?;
    inside.is("mkdir:/sys/fs/cgroup/new", "!EROFS")?;
    if namespace { inside.is(&format!("read:{procs}"), "1\n") } else { Ok(()) }
}

/// In any layout the mount is read-only, and on v1 it is not the host's.
fn cgroup_of_the_machine(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun rejects the hybrid layout");
    }
    rig.set_layout(Layout::Machine)?;
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let path = format!("{TOP}/pids/cgroup.procs");
    let inside =
        report_with_mount(rig, false, "ro", &["mounts", "read", &path, "mkdir", "/sys/fs/cgroup/new"])?;
    inside.mount_has(TOP, &["ro"])?;
    if !unified {
        inside.is(&format!("read:{path}"), "1\n")?;
    }
    different("creating a cgroup", inside.get("mkdir:/sys/fs/cgroup/new"), "ok")
}

fn cgroup_v1(rig: &mut Rig) -> Outcome {
    v1(rig, false)
}

fn cgroup_v1_in_a_cgroup_namespace(rig: &mut Rig) -> Outcome {
    v1(rig, true)
}

/// The access time option is that of the mount, whatever the option on the host is.
fn cgroup_v1_without_access_times(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V1)?;
    for (option, words) in [("noatime", "noatime"), ("strictatime", ""), ("rnoatime", "noatime")] {
        let inside = report_with_mount(rig, false, option, &["mounts"])?;
        for mount in ["mount:/sys/fs/cgroup", "mount:/sys/fs/cgroup/pids"] {
            let line = inside.get(mount);
            same(&format!("{option}: noatime in {line}"), line.contains("noatime"), words == "noatime")?;
            same(&format!("{option}: relatime in {line}"), line.contains("relatime"), false)?;
        }
    }
    Ok(())
}

fn cgroup_v2(rig: &mut Rig) -> Outcome {
    v2(rig, false)
}

fn cgroup_v2_in_a_cgroup_namespace(rig: &mut Rig) -> Outcome {
    v2(rig, true)
}

/// The container may create cgroups below its own, which `delete` removes.
fn cgroup_writable_when_not_read_only(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let inside = report_with_mount(rig, true, "rw", &["mkdir", "/sys/fs/cgroup/new"])?;
    inside.is("mkdir:/sys/fs/cgroup/new", "ok")
}
