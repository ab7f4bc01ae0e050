//! A cgroup that somebody else removes, as systemd removes a scope and all below it when the last process has ended.

use std::fs::{self, File};
use std::process::Stdio;

use crate::check::{Outcome, holds, same, skip_allowed};
use crate::cleanup::remove_cgroups;
use crate::rig::{Runtime, Rig};
use crate::sys::trace::interrupted_at;
use crate::tests_in_layouts;

tests_in_layouts![
    removed_at_each_call_of_delete,
    removed_at_each_call_of_state,
    removed_at_each_call_of_ps,
    removed_at_each_call_of_kill,
];

/// A command on a container whose cgroup, with its process, goes away before the command's first system call, then before
/// its second, until it comes to its end: it succeeds each time.
fn removed_at_each_call(rig: &mut Rig, words: &[&str]) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun end as they end");
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
        let (status, came) = interrupted_at(&mut command, number, remove)?;
        let said = fs::read_to_string(&errors)?;
        same(&format!("call {number}: status, errors"), (status, said.as_str()), (0, ""))?;
        rig.delete()?;
        // What is above it was made by the container's creation alone.
        remove_cgroups(&rig.cgroup);
        rig.nothing_left()?;
        if !came {
            return holds("more than 20 system calls", number > 20);
        }
    }
    Ok(())
}

fn removed_at_each_call_of_delete(rig: &mut Rig) -> Outcome {
    removed_at_each_call(rig, &["delete", "--force"])
}

fn removed_at_each_call_of_state(rig: &mut Rig) -> Outcome {
    removed_at_each_call(rig, &["state"])
}

fn removed_at_each_call_of_ps(rig: &mut Rig) -> Outcome {
    removed_at_each_call(rig, &["ps"])
}

fn removed_at_each_call_of_kill(rig: &mut Rig) -> Outcome {
    removed_at_each_call(rig, &["kill", "--all"])
}
