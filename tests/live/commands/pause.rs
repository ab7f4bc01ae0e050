//! `pause`, `resume` and `ps`: all processes of a container.

use crate::check::{Outcome, contains, same};
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![pause_and_resume, pause_in_the_wrong_state_is_rejected, ps_of_all_processes];

/// A signal that is sent while the container is paused arrives when it is resumed.
fn pause_and_resume(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut running = rig.waiting(&mut bundle)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    rig.status_is("running")?;
    rig.mote(&["pause", &rig.id])?.success()?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()
}

fn pause_in_the_wrong_state_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let rejected = |words: &[&str]| rig.failure(&rig.mote(words)?, &[&rig.id]);
    rejected(&["resume", &rig.id])?;
    rig.mote(&["pause", &rig.id])?.success()?;
    if rig.is(Runtime::Mote) {
        rejected(&["pause", &rig.id])?;
    }
    rig.mote(&["resume", &rig.id])?.success()?;
    rig.kill_init()?;
    rejected(&["pause", &rig.id])?;
    rejected(&["resume", &rig.id])?;
    rig.failure(&rig.mote(&["pause", "nobody"])?, &["nobody", "does not exist"])?;
    rig.delete()
}

fn ps_of_all_processes(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let list = Json::parse(&rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout)?;
    same("the list", list, Json::parse(&format!("[{pid}]"))?)?;
    let table = rig.mote(&["ps", &rig.id])?.success()?.stdout;
    same("the table", table.as_str(), format!("PID\n{pid}\n"))?;
    let table = rig.mote(&["ps", &rig.id, "-o", "ppid,pid,comm"])?.success()?.stdout;
    same("lines of ps", table.lines().count(), 2)?;
    contains("ps's own columns", &table, "PPID")?;
    contains("ps's own columns", &table, &pid.to_string())?;
    rig.kill_init()?;
    if rig.is(Runtime::Mote) {
        same("the table", rig.mote(&["ps", &rig.id])?.success()?.stdout.as_str(), "PID\n")?;
        let list = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
        same("the list", list.as_str(), "[]\n")?;
    }
    rig.delete()
}
