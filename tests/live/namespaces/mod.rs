//! Namespaces: new ones, those of the host, those joined by path; and what belongs to one: its name, its
//! clocks, its sysctls, its network interfaces.

pub mod device;
pub mod join;
mod network;
pub mod new;
pub mod setting;

use crate::check::{Outcome, skip_allowed};
use crate::command::{self, Running};
use crate::report::Report;
use crate::rig::{Runtime, Rig};

/// The host's own facts, as the payload says them there.
fn on_host(rig: &Rig, verbs: &[&str]) -> Outcome<Report> {
    Ok(command::run(&mut rig.host(verbs), "")?.success()?.report())
}

/// The peers the tests were tried on have no time namespaces that work.
fn needs_time(rig: &Rig) -> Outcome {
    match rig.suite.kind {
        Runtime::Mote => Ok(()),
        Runtime::Runc => skip_allowed("this runc knows no time namespaces"),
        Runtime::Crun => skip_allowed("this crun loses its init in a new time namespace"),
    }
}

/// A process on the host that has done these verbs, and stays until its input ends.
fn holder(rig: &Rig, verbs: &[&str]) -> Outcome<(Running, Report)> {
    let mut words = verbs.to_vec();
    words.extend(["say", "held", "stdin"]);
    let mut running = command::start(&mut rig.host(&words), true)?;
    let report = running.lines.until("say=held")?;
    Ok((running, report))
}
