//! A cgroup removed by another program, as systemd removes a scope and everything below it when its last process has
//! exited.

use std::fs::{self, File};
use std::process::Stdio;

use crate::check::{Outcome, holds, same, skip_allowed};
use crate::cleanup::remove_cgroups;
use crate::rig::{Rig, Runtime};
use crate::sys::trace::interrupted_at;
use crate::tests_in_layouts;

tests_in_layouts![
    cgroup_removed_before_each_call_of_delete,
    cgroup_removed_before_each_call_of_state,
    cgroup_removed_before_each_call_of_ps,
    cgroup_removed_before_each_call_of_kill,
];

/// Runs a command on a container whose cgroup is removed, with its processes killed, before the command's first system
/// call; then the same before its second one, and so on. The command succeeds each time.
fn removed_before_each_call(rig: &mut Rig, words: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun fail at some of the calls");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}/container", rig.cgroup));
    let errors = rig.dir.join("errors");
    for number in 0.. {
        let _running = rig.create(&bundle, &[])?;
        let mut command = rig.command(words);
        command.arg(&rig.id).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors)?);
        let remove = |_| {
            remove_cgroups(&rig.cgroup);
            Ok(())
        };
        let (status, reached) = interrupted_at(&mut command, number, remove)?;
        let messages = fs::read_to_string(&errors)?;
        same(&format!("call {number}: status, errors"), (status, messages.as_str()), (0, ""))?;
        rig.delete()?;
        // The cgroup above was created with the container, and is not removed with it.
        remove_cgroups(&rig.cgroup);
        rig.nothing_left()?;
        if !reached {
            return holds("more than 20 system calls", number > 20);
        }
    }
    Ok(())
}

fn cgroup_removed_before_each_call_of_delete(rig: &mut Rig) -> Outcome {
    removed_before_each_call(rig, &["delete", "--force"])
}

fn cgroup_removed_before_each_call_of_state(rig: &mut Rig) -> Outcome {
    removed_before_each_call(rig, &["state"])
}

fn cgroup_removed_before_each_call_of_ps(rig: &mut Rig) -> Outcome {
    removed_before_each_call(rig, &["ps"])
}

fn cgroup_removed_before_each_call_of_kill(rig: &mut Rig) -> Outcome {
    removed_before_each_call(rig, &["kill", "--all"])
}
