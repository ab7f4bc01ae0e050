//! Attacks on the runtime and on the host: by an image, by a container that shares something with another one, by an
//! ordinary user. Attacks by files of the image alone are in `rootfs/attack.rs`, those of published vulnerabilities in
//! `cve`.

pub mod host;
pub mod passwd;
pub mod pod;
pub mod stop;

use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::command::{Running, start};
use crate::rig::{Rig, Runtime};

/// Skips tests of guarantees that runc and crun do not give.
pub fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("only mote guarantees this") }
}

/// Adds a capability to the sets of the process.
pub fn allow(bundle: &mut Bundle, capability: &str) {
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{set}[+]"), capability);
    }
}

/// A second container: from now on the rig has its id and its cgroup.
pub fn second(rig: &mut Rig) -> Outcome<(String, Bundle)> {
    let first = rig.id.clone();
    rig.id.push_str("-two");
    let mut bundle = rig.bundle()?;
    bundle.set("linux.cgroupsPath", format!("/{}-two", rig.cgroup));
    Ok((first, bundle))
}

/// Starts a container in the foreground and waits until it has printed this line.
pub fn until(rig: &Rig, bundle: &Bundle, line: &str) -> Outcome<Running> {
    let mut running = start(&mut rig.launch("run", bundle, &[])?, true)?;
    running.lines.until(line)?;
    Ok(running)
}
