//! With cgroup v2 only, the v1 hierarchy name=systemd for a container with an old systemd
//! (`run.oci.systemd.force_cgroup_v1`).

use std::fs;
use std::path::PathBuf;

use super::delegate::with_mount;
use super::{path_of, unified_top};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::remove_cgroup;
use crate::rig::{Layout, Rig, Runtime};
use crate::{sys, tests};

// The directory on which the hierarchy is mounted is a cgroup of the whole machine.
tests![
    "cgroups",
    alone: true,
    named_hierarchy,
    named_hierarchy_is_cleaned_up_after_a_failure,
    named_hierarchy_that_is_not_mounted_is_rejected,
    named_hierarchy_without_a_mount_point_is_rejected,
];

/// The hierarchy, mounted until dropped at a directory of the suite.
struct Named(PathBuf);

impl Named {
    fn mount(rig: &Rig) -> Outcome<Self> {
        let place = rig.suite.dir.join("named");
        fs::create_dir(&place)?;
        sys::mount("cgroup", &place, "cgroup", 0, "none,name=systemd")?;
        Ok(Named(place))
    }

    fn has(&self, rig: &Rig) -> bool {
        self.0.join(&rig.cgroup).exists()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = sys::umount(&self.0);
        let _ = fs::remove_dir(&self.0);
        remove_cgroup(&unified_top().join("systemd"));
    }
}

fn bundle(rig: &mut Rig, layout: Layout) -> Outcome<Bundle> {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such annotation");
    }
    rig.set_layout(layout)?;
    let mut bundle = with_mount(rig, &["rw"])?;
    bundle.set("annotations.\"run.oci.systemd.force_cgroup_v1\"", "/sys/fs/cgroup");
    Ok(bundle)
}

fn named_hierarchy(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, Layout::Named)?;
    let named = Named::mount(rig)?;
    let (top, new) = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd/new");
    bundle.verbs(&["list", top, "read", "/proc/self/cgroup", "mkdir", new, "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    let pid = rig.pid()?;
    for hierarchy in ["name=systemd", ""] {
        same("the cgroup", path_of(pid, hierarchy)?, format!("/{}", rig.cgroup))?;
    }
    rig.mote(&["start", &rig.id])?.success()?;
    let report = running.lines.until("waiting=1")?;
    report.is("list:/sys/fs/cgroup", "systemd")?;
    report.is("mkdir:/sys/fs/cgroup/systemd/new", "ok")?;
    holds("the cgroup is created in the hierarchy", named.0.join(&rig.cgroup).join("new").exists())?;
    // In the cgroup namespace, the exec process is in the same cgroups as the init.
    let other = rig.mote(&["exec", &rig.id, "/payload", "read", "/proc/self/cgroup"])?.success()?.report();
    for report in [&report, &other] {
        let cgroups = report.get("read:/proc/self/cgroup");
        contains("the cgroups", cgroups, ":name=systemd:/\n")?;
        contains("the cgroups", cgroups, "0::/\n")?;
    }
    rig.delete()?;
    holds("the cgroup is removed", !named.has(rig))
}

fn named_hierarchy_is_cleaned_up_after_a_failure(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, Layout::Named)?;
    let named = Named::mount(rig)?;
    bundle.set("process.args", crate::json!(["/no/such/program"]));
    rig.rejected(&bundle, &["/no/such/program"])?;
    holds("the cgroup is removed", !named.has(rig))
}

/// The directory is then a cgroup of v2, or does not exist.
fn named_hierarchy_that_is_not_mounted_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, Layout::V2)?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["annotations.run.oci.systemd.force_cgroup_v1: ", "is not mounted"])
}

fn named_hierarchy_without_a_mount_point_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, Layout::V2)?;
    bundle.set("annotations.\"run.oci.systemd.force_cgroup_v1\"", "/elsewhere");
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["annotations.run.oci.systemd.force_cgroup_v1: ", "/elsewhere"])
}
