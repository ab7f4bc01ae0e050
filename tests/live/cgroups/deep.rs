//! Cgroups that a container has made in its own, deeper than a path may be long.

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, skip_allowed};
use crate::cleanup::{cgroups, processes};
use crate::command::{LIMIT, run};
use crate::rig::{Layout, Runtime, Rig};
use crate::{json, sys, tests};

// Alone, since the others look through all cgroups again and again.
tests!["cgroups", alone: true, cgroups_deeper_than_a_path_v1, cgroups_deeper_than_a_path_v2];

fn cgroups_deeper_than_a_path_v1(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V1)?;
    deep(rig, "/sys/fs/cgroup/pids", "2500")
}

/// Fewer: there the kernel takes longer for each, the deeper it is.
fn cgroups_deeper_than_a_path_v2(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    deep(rig, "/sys/fs/cgroup", "1000")
}

/// Made by a container that has ended, and by one that is killed.
fn deep(rig: &mut Rig, top: &str, count: &str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun give up");
    }
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    bundle.namespace("cgroup", None);
    let removed = made_and_removed(rig, &mut bundle, top, count);
    // However it went: what is this deep nobody else takes away.
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

fn made_and_removed(rig: &Rig, bundle: &mut Bundle, top: &str, count: &str) -> Outcome {
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
