//! Scheduling, priority for storage, personality.

use crate::check::{Outcome, fail, skip_allowed};
use crate::command::run;
use crate::json;
use crate::rig::{Runtime, Rig};
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
    cpus_are_not_those_of_the_caller,
    memory_policy,
    memory_policy_that_the_kernel_refuses,
];

/// What a process that this test starts has from its caller: its nice value and priority for storage. A container has
/// the same where its configuration says nothing.
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
    // The policy's highest bit says that children begin anew. It has no nice value of its own.
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

/// Whatever keeps mote itself to some CPUs is not meant for the container.
fn cpus_are_not_those_of_the_caller(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("older peers hand them on");
    }
    let all = rig.report(&mut rig.bundle()?, &["cpus"])?.get("cpus").to_string();
    let _pinned = Pinned::new()?;
    rig.report(&mut rig.bundle()?, &["cpus"])?.is("cpus", &all)
}

fn memory_policy(rig: &mut Rig) -> Outcome {
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

fn memory_policy_that_the_kernel_refuses(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.memoryPolicy", json!({"mode": "MPOL_BIND"}));
    rig.rejected(&bundle, &["linux.memoryPolicy", "set_mempolicy", "invalid argument"])
}
