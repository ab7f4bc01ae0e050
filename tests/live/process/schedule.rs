//! Scheduler (sched(7)), I/O priority (ioprio_set(2)), CPU affinity, memory policy (set_mempolicy(2)), personality(2).

use std::path::Path;

use crate::check::{Outcome, fail, skip_allowed};
use crate::command::run;
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::sys::schedule::Pinned;
use crate::tests;

tests![
    "process",
    scheduler_batch_with_a_nice_value,
    scheduler_idle,
    scheduler_unknown_is_rejected,
    scheduler_deadline_without_a_runtime_is_rejected,
    io_priority,
    personality_of_32_bits,
    personality_with_flags_is_rejected,
    cpu_affinity_of_the_caller_is_not_inherited,
    memory_policy,
    memory_policy_that_the_kernel_rejects,
];

/// The nice value and I/O priority of a process that this test starts, which a container inherits if its configuration
/// has none.
fn inherited(rig: &Rig) -> Outcome<(String, String)> {
    let own = run(&mut rig.host(&["schedule"]), "")?.success()?.report().get("schedule").to_string();
    match own.split(' ').collect::<Vec<_>>()[..] {
        [_, nice, io, _] => Ok((nice.to_string(), io.to_string())),
        _ => fail(format_args!("{own:?} is no schedule")),
    }
}

fn scheduler_batch_with_a_nice_value(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_BATCH", "nice": 7i64}));
    let (_, io) = inherited(rig)?;
    rig.report(&mut bundle, &["schedule"])?.is("schedule", &format!("3 7 {io} 0x0"))
}

fn scheduler_idle(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    bundle.set("process.scheduler", json!({"policy": "SCHED_IDLE", "flags": flags}));
    // The highest bit of the policy is SCHED_RESET_ON_FORK. SCHED_IDLE has no nice value.
    let (nice, io) = inherited(rig)?;
    let policy = 5 | 1 << 30;
    rig.report(&mut bundle, &["schedule"])?.is("schedule", &format!("{policy} {nice} {io} 0x0"))
}

fn scheduler_unknown_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_FAIR"}));
    rig.rejected(&bundle, &["process.scheduler.policy", "SCHED_FAIR"])
}

fn scheduler_deadline_without_a_runtime_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_DEADLINE"}));
    rig.rejected(&bundle, &["process.scheduler", "sched_setattr"])
}

fn io_priority(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 5i64}));
    let (nice, _) = inherited(rig)?;
    rig.report(&mut bundle, &["schedule"])?.is("schedule", &format!("0 {nice} 0x4005 0x0"))
}

fn personality_of_32_bits(rig: &mut Rig) -> Outcome {
    if cfg!(any(target_arch = "arm", target_arch = "riscv64")) {
        return skip_allowed("execve(2) resets it on ARM and RISC-V");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.personality", json!({"domain": "LINUX32"}));
    let (nice, io) = inherited(rig)?;
    rig.report(&mut bundle, &["schedule"])?.is("schedule", &format!("0 {nice} {io} 0x8"))
}

fn personality_with_flags_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let flags = json!(["ADDR_NO_RANDOMIZE"]);
    bundle.set("linux.personality", json!({"domain": "LINUX", "flags": flags}));
    rig.rejected(&bundle, &["linux.personality.flags"])
}

/// A CPU affinity of mote is not inherited by the container.
fn cpu_affinity_of_the_caller_is_not_inherited(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("older versions of runc and crun pass it on");
    }
    let all = rig.report(&mut rig.bundle()?, &["cpus"])?.get("cpus").to_string();
    let _pinned = Pinned::new()?;
    rig.report(&mut rig.bundle()?, &["cpus"])?.is("cpus", &all)
}

/// Skips the test if the kernel has no NUMA nodes (CONFIG_NUMA).
pub fn has_numa() -> Outcome {
    if Path::new("/proc/self/numa_maps").exists() { Ok(()) } else { skip_allowed("this kernel has no NUMA") }
}

fn memory_policy(rig: &mut Rig) -> Outcome {
    has_numa()?;
    for (policy, seen) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (
            json!({"mode": "MPOL_INTERLEAVE", "nodes": "0-0", "flags": ["MPOL_F_STATIC_NODES"]}),
            "interleave=static:0",
        ),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
    ] {
        let mut bundle = rig.bundle()?;
        bundle.set("linux.memoryPolicy", policy);
        rig.report(&mut bundle, &["nodes"])?.is("nodes", seen)?;
    }
    Ok(())
}

fn memory_policy_that_the_kernel_rejects(rig: &mut Rig) -> Outcome {
    has_numa()?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.memoryPolicy", json!({"mode": "MPOL_BIND"}));
    rig.rejected(&bundle, &["linux.memoryPolicy", "set_mempolicy", "invalid argument"])
}
