//! Cgroups that a container has created below its own, deeper than PATH_MAX.

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, skip_allowed};
use crate::cleanup::{cgroups, processes};
use crate::command::{LIMIT, run};
use crate::rig::{Layout, Rig, Runtime};
use crate::{json, sys, tests};

// Alone, since other tests list all cgroups repeatedly.
tests!["cgroups", alone: true, cgroups_deeper_than_a_path_v1, cgroups_deeper_than_a_path_v2];

fn cgroups_deeper_than_a_path_v1(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V1)?;
    deep_cgroups_are_removed(rig, "/sys/fs/cgroup/pids", "2500")
}

/// Fewer cgroups: on v2, creating one takes longer the deeper it is.
fn cgroups_deeper_than_a_path_v2(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    deep_cgroups_are_removed(rig, "/sys/fs/cgroup", "1000")
}

/// Created by a container that exits by itself, and by one that is killed.
fn deep_cgroups_are_removed(rig: &mut Rig, top: &str, count: &str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun give up");
    }
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    bundle.namespace("cgroup", None);
    let removed = create_and_remove(rig, &mut bundle, top, count);
    // Removed in any case: other tests and the administrator could not do it by path.
    for pid in processes("MOTE_LIVE", &rig.marker) {
        let pidfd = sys::pidfd(pid)?;
        sys::kill(pid, libc::SIGKILL)?;
        sys::readable(&pidfd, LIMIT)?;
    }
    rig.layout = Layout::Machine;
    for path in cgroups(&rig.cgroup) {
        if path.ends_with(&rig.cgroup) {
            run(&mut rig.host(&["shallow", &path.display().to_string()]), "")?;
        }
    }
    removed
}

fn create_and_remove(rig: &Rig, bundle: &mut Bundle, top: &str, count: &str) -> Outcome {
    bundle.verbs(&["deep", top, count]);
    rig.run(bundle, &[])?.success()?.report().is("deep", "ok")?;
    rig.nothing_left()?;
    bundle.verbs(&["deep", top, count, "wait", "1"]);
    let mut created = rig.create(bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?.is("deep", "ok")?;
    rig.delete()?;
    if cgroups(&rig.cgroup).is_empty() { Ok(()) } else { fail("cgroups are left") }
}
