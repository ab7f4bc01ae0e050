//! Terminals: in the foreground, on a terminal whose master the test holds; and detached, with a console socket.

pub mod attack;
pub mod flow;
pub mod foreground;
pub mod screen;
pub mod socket;

use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::rig::{Rig, Runtime};

/// A bundle with a terminal and these verbs.
fn bundle(rig: &Rig, verbs: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.terminal", true);
    bundle.verbs(verbs);
    Ok(bundle)
}

/// The command line of `run` for such a bundle.
fn run(rig: &Rig, verbs: &[&str]) -> Outcome<Command> {
    rig.launch("run", &bundle(rig, verbs)?, &[])
}

/// The command line of `exec --tty` in the running container.
fn exec(rig: &Rig, options: &[&str], verbs: &[&str]) -> Command {
    rig.command(&[&["exec", "--tty"], options, &[rig.id.as_str(), "/payload"], verbs].concat())
}

/// A container without a terminal that waits.
fn container(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    rig.waiting(&mut bundle)?;
    Ok(bundle)
}

fn only_mote(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Mote) {
        true => Ok(()),
        false => skip_allowed("runc and crun differ here"),
    }
}
