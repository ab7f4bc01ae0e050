//! Attacks on the runtime and on the host: by an image, by a container that shares something with another, by
//! an ordinary user. Those by the tree of files alone are in `rootfs/attack.rs`.

pub mod cwd;
pub mod host;
pub mod passwd;
pub mod pod;
pub mod proc;
pub mod race;
pub mod stop;

use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::command::{Running, start};
use crate::rig::{Runtime, Rig};

/// For what is promised by mote, and was not asked of others.
fn asks_mote_alone(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("asked of mote alone") }
}

/// Lets root in the container have a capability.
fn allow(bundle: &mut Bundle, capability: &str) {
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{set}[+]"), capability);
    }
}

/// A second container beside the first: the rig's id and cgroup are its own from now on.
fn second(rig: &mut Rig) -> Outcome<(String, Bundle)> {
    let first = rig.id.clone();
    rig.id.push_str("-two");
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}-two", rig.cgroup));
    Ok((first, bundle))
}

/// A container that runs in the foreground and has said this line.
fn until(rig: &Rig, bundle: &Bundle, line: &str) -> Outcome<Running> {
    let mut running = start(&mut rig.launch("run", bundle, &[])?, true)?;
    running.lines.until(line)?;
    Ok(running)
}
