//! Memory limits so small that only the program itself fits: the set-up by the runtime must not be charged.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::controller_dir;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::elf::EXIT_7;
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![memory_limit_of_1_mib_runs_a_tiny_program, memory_minimum_of_features_runs_a_tiny_program];

fn runs_within(rig: &Rig, bytes: i64) -> Outcome {
    controller_dir(rig, "memory", "memory")?;
    let mut bundle = rig.bundle()?;
    let program = bundle.host_path("tiny");
    fs::write(&program, EXIT_7.file())?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    bundle.set("process.args", json!(["/tiny"]));
    bundle.set("linux.resources.memory.limit", bytes);
    // The kernel charges 64 pages at once and keeps the unused ones for the same CPU. If the limit is reached, it takes
    // them back from other CPUs, but an OOM kill may come before a busy CPU has answered.
    bundle.set("linux.resources.cpu", json!({"cpus": "0", "mems": "0"}));
    // Five times, as one run may succeed by chance.
    for _ in 0..5 {
        let output = rig.run(&bundle, &[])?;
        same("the standard error", output.stderr.as_str(), "")?;
        same("exit code", output.code(), 7)?;
    }
    Ok(())
}

fn memory_limit_of_1_mib_runs_a_tiny_program(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc itself needs more");
    }
    runs_within(rig, 1 << 20)
}

fn memory_minimum_of_features_runs_a_tiny_program(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun themselves need more");
    }
    let features = Json::parse(&rig.mote(&["features"])?.success()?.stdout)?;
    let smallest = features.at("annotations").at("io.github.mote.memory.limit.minimum").text().parse()?;
    holds("the minimum is at most 256 KiB", smallest <= 256 << 10)?;
    runs_within(rig, smallest)
}
