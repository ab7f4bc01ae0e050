//! Resources of the configuration, read back from the cgroup's files while the container runs.

use std::fs;
use std::path::PathBuf;

use super::{unified, unified_top};
use crate::check::{Outcome, different, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Peer, Rig};
use crate::tests_in_layouts;

tests_in_layouts![
    memory_limit,
    memory_reservation,
    memory_limit_kills,
    cpu_shares,
    cpu_quota_and_period,
    cpuset,
    cpuset_that_is_not_there_is_refused,
    pids_limit,
    pids_limit_holds,
    pids_limit_of_1_runs,
    pids_limit_of_0_runs,
    pids_without_a_limit,
    unified_file_is_refused,
    unified_file_elsewhere_is_refused,
    limit_without_its_controller_is_refused,
];

/// One file of the container's cgroup: its controller, then its v1 and v2 names with the value each is to have.
struct Value {
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
}

/// The file, or a skip where the machine has no such controller.
fn file(rig: &Rig, value: &Value) -> Outcome<(PathBuf, &'static str)> {
    let missing = || skip_allowed(format_args!("no {} controller in this layout", value.controller));
    if unified(rig) {
        let top = unified_top();
        let list = fs::read_to_string(top.join("cgroup.controllers"))?;
        if !list.split_whitespace().any(|name| name == value.controller) {
            return missing();
        }
        return Ok((top.join(&rig.cgroup).join(value.v2.0), value.v2.1));
    }
    let top = PathBuf::from("/sys/fs/cgroup").join(value.controller);
    if !top.exists() {
        return missing();
    }
    Ok((top.join(&rig.cgroup).join(value.v1.0), value.v1.1))
}

/// Runs a container with these resources and reads the values back.
fn reads_back(rig: &Rig, resources: Json, values: &[Value]) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources", resources);
    let files: Vec<_> = values.iter().map(|value| file(rig, value)).collect::<Outcome<_>>()?;
    let _running = rig.waiting(&mut bundle)?;
    for (path, want) in files {
        same(&path.display().to_string(), fs::read_to_string(&path)?.trim(), want)?;
    }
    rig.delete()
}

fn memory_limit(rig: &mut Rig) -> Outcome {
    let value = Value {
        controller: "memory",
        v1: ("memory.limit_in_bytes", "67108864"),
        v2: ("memory.max", "67108864"),
    };
    reads_back(rig, json!({"memory": {"limit": 67108864i64}}), &[value])
}

fn memory_reservation(rig: &mut Rig) -> Outcome {
    let value = Value {
        controller: "memory",
        v1: ("memory.soft_limit_in_bytes", "33554432"),
        v2: ("memory.low", "33554432"),
    };
    reads_back(rig, json!({"memory": {"reservation": 33554432i64}}), &[value])
}

fn memory_limit_kills(rig: &mut Rig) -> Outcome {
    let value = Value { controller: "memory", v1: ("", ""), v2: ("", "") };
    file(rig, &value)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.memory.limit", 33554432i64);
    bundle.verbs(&["say", "before", "eat", "131072"]);
    let output = rig.run(&bundle, &[])?;
    output.facts().is("eat", "(not said)")?;
    same("exit code", output.code(), 137)
}

fn cpu_shares(rig: &mut Rig) -> Outcome {
    let value = Value { controller: "cpu", v1: ("cpu.shares", "512"), v2: ("cpu.weight", "59") };
    reads_back(rig, json!({"cpu": {"shares": 512i64}}), &[value])
}

fn cpu_quota_and_period(rig: &mut Rig) -> Outcome {
    let resources = json!({"cpu": {"quota": 50000i64, "period": 200000i64}});
    let two = ("cpu.max", "50000 200000");
    let quota = Value { controller: "cpu", v1: ("cpu.cfs_quota_us", "50000"), v2: two };
    let period = Value { controller: "cpu", v1: ("cpu.cfs_period_us", "200000"), v2: two };
    reads_back(rig, resources, &[quota, period])
}

fn cpuset(rig: &mut Rig) -> Outcome {
    let cpus = Value { controller: "cpuset", v1: ("cpuset.cpus", "0"), v2: ("cpuset.cpus", "0") };
    let mems = Value { controller: "cpuset", v1: ("cpuset.mems", "0"), v2: ("cpuset.mems", "0") };
    reads_back(rig, json!({"cpu": {"cpus": "0", "mems": "0"}}), &[cpus, mems])
}

fn cpuset_that_is_not_there_is_refused(rig: &mut Rig) -> Outcome {
    file(rig, &Value { controller: "cpuset", v1: ("", ""), v2: ("", "") })?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.cpu.cpus", "4000");
    rig.refused(&bundle, &["cpuset.cpus"])
}

const PIDS: &str = "pids";
/// Only asks whether the controller is there.
const ANY_PIDS: Value = Value { controller: PIDS, v1: ("", ""), v2: ("", "") };

fn pids_limit(rig: &mut Rig) -> Outcome {
    let value = Value { controller: PIDS, v1: ("pids.max", "77"), v2: ("pids.max", "77") };
    reads_back(rig, json!({"pids": {"limit": 77i64}}), &[value])
}

/// Two may be there: the program, and one child.
fn pids_limit_holds(rig: &mut Rig) -> Outcome {
    file(rig, &ANY_PIDS)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 2i64);
    let inside = rig.facts(&mut bundle, &["fork", "2"])?;
    different("the first child", inside.all("fork").first().copied(), Some("!EAGAIN"))?;
    inside.is("fork", "!EAGAIN")
}

/// Nothing of the runtime's may be in the cgroup beside the program.
fn pids_limit_of_1_runs(rig: &mut Rig) -> Outcome {
    if rig.is(Peer::Runc) {
        return skip_allowed("the threads of runc's init need more");
    }
    file(rig, &ANY_PIDS)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 1i64);
    for options in [&[][..], &["--no-pivot"]] {
        bundle.verbs(&["say", "runs", "exit", "4"]);
        let output = rig.run(&bundle, options)?;
        output.facts().is("say", "runs")?;
        same("exit code", output.code(), 4)?;
    }
    rig.facts(&mut bundle, &["fork", "1"])?.is("fork", "!EAGAIN")
}

/// No process may be added; the first is not added but moved there.
fn pids_limit_of_0_runs(rig: &mut Rig) -> Outcome {
    if !rig.is(Peer::Mote) {
        return skip_allowed("the peers take 0 for no limit");
    }
    let (path, _) = file(rig, &Value { controller: PIDS, v1: ("pids.max", ""), v2: ("pids.max", "") })?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.pids.limit", 0i64);
    rig.facts(&mut bundle, &["fork", "1"])?.is("fork", "!EAGAIN")?;
    let _running = rig.waiting(&mut bundle)?;
    let limit = fs::read_to_string(path)?;
    holds(&format!("{limit:?} is 0 or 1"), ["0", "1"].contains(&limit.trim()))?;
    rig.delete()
}

fn pids_without_a_limit(rig: &mut Rig) -> Outcome {
    let value = Value { controller: PIDS, v1: ("pids.max", "max"), v2: ("pids.max", "max") };
    reads_back(rig, json!({"pids": {"limit": (-1i64)}}), &[value])
}

/// Until it is there, by its name; on v1 there is none.
fn unified_file_is_refused(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.resources.unified.\"cgroup.max.depth\"", "5");
    bundle.verbs(&[]);
    rig.refused(&bundle, &["linux.resources.unified"])
}

fn unified_file_elsewhere_is_refused(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.unified.\"../cgroup.max.depth\"", "max");
    rig.refused(&bundle, &["linux.resources.unified"])
}

/// A limit that cannot be set must not be passed over in silence.
fn limit_without_its_controller_is_refused(rig: &mut Rig) -> Outcome {
    if file(rig, &ANY_PIDS).is_ok() {
        return skip_allowed("this layout has the controller");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.pids.limit", 5i64);
    rig.refused(&bundle, &["pids"])
}
