//! Terminals: of who stays in the foreground, on a terminal that a test holds the other side of, and of who is
//! detached, through a socket.

pub mod attack;
pub mod flow;
pub mod foreground;
pub mod screen;
pub mod socket;

use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, skip_allowed};
use crate::rig::{Runtime, Rig};

/// A bundle with a terminal, and what the payload is to do.
fn bundle(rig: &Rig, verbs: &[&str]) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.terminal", true);
    bundle.verbs(verbs);
    Ok(bundle)
}

/// `run` of such a bundle.
fn run(rig: &Rig, verbs: &[&str]) -> Outcome<Command> {
    rig.launch("run", &bundle(rig, verbs)?, &[])
}

/// `exec --tty` in the container that is there.
fn exec(rig: &Rig, options: &[&str], verbs: &[&str]) -> Command {
    rig.command(&[&["exec", "--tty"], options, &[rig.id.as_str(), "/payload"], verbs].concat())
}

/// A container that waits, without a terminal of its own.
fn container(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    rig.waiting(&mut bundle)?;
    Ok(bundle)
}

fn only_mote(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Mote) {
        true => Ok(()),
        false => skip_allowed("runc and crun do otherwise"),
    }
}
