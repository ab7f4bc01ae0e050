//! Namespaces: new ones, those of the host, those joined by path; and the settings of a namespace: names, clock
//! offsets, sysctls, network interfaces.

pub mod device;
pub mod join;
pub mod mapping;
pub mod network;
pub mod new;
pub mod owner;
pub mod setting;

use crate::check::{Outcome, skip_allowed};
use crate::command::{self, Running};
use crate::report::Report;
use crate::rig::{Rig, Runtime};

/// The report of the payload run on the host.
pub fn on_host(rig: &Rig, verbs: &[&str]) -> Outcome<Report> {
    Ok(command::run(&mut rig.host(verbs), "")?.success()?.report())
}

/// Whether the kernel has time namespaces (CONFIG_TIME_NS), which 32-bit ARM does not have.
pub fn has_time() -> bool {
    std::path::Path::new("/proc/self/ns/time").exists()
}

/// Skips the test without time namespaces: for runc and crun, whose tested versions do not support them, and on kernels that do
/// not.
fn needs_time(rig: &Rig) -> Outcome {
    match rig.suite.kind {
        Runtime::Mote if has_time() => Ok(()),
        Runtime::Mote => skip_allowed("this kernel has no time namespaces"),
        Runtime::Runc => skip_allowed("this runc has no time namespaces"),
        Runtime::Crun => skip_allowed("this crun loses its init in a new time namespace"),
    }
}

/// Runs a payload on the host that executes these verbs and then waits for the end of its input.
pub fn holder(rig: &Rig, verbs: &[&str]) -> Outcome<(Running, Report)> {
    let mut words = verbs.to_vec();
    words.extend(["say", "held", "stdin"]);
    let mut running = command::start(&mut rig.host(&words), true)?;
    let report = running.lines.until("say=held")?;
    Ok((running, report))
}
