//! Scheduling, priority for storage, personality.

use crate::check::Outcome;
use crate::json;
use crate::rig::Rig;
use crate::tests;

tests![
    "process",
    scheduler_batch_with_a_nice_value,
    scheduler_idle,
    scheduler_unknown_is_refused,
    scheduler_deadline_without_a_runtime_is_refused,
    io_priority,
    personality_of_32_bits,
    personality_with_flags_is_refused,
];

fn scheduler_batch_with_a_nice_value(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_BATCH", "nice": 7i64}));
    rig.facts(&mut bundle, &["schedule"])?.is("schedule", "3 7 0x0 0x0")
}

fn scheduler_idle(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let flags = json!(["SCHED_FLAG_RESET_ON_FORK"]);
    bundle.set("process.scheduler", json!({"policy": "SCHED_IDLE", "flags": flags}));
    // The policy's highest bit says that children begin anew.
    rig.facts(&mut bundle, &["schedule"])?.is("schedule", &format!("{} 0 0x0 0x0", 5 | 1 << 30))
}

fn scheduler_unknown_is_refused(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_FAIR"}));
    rig.refused(&bundle, &["process.scheduler.policy", "SCHED_FAIR"])
}

fn scheduler_deadline_without_a_runtime_is_refused(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.scheduler", json!({"policy": "SCHED_DEADLINE"}));
    rig.refused(&bundle, &["process.scheduler", "sched_setattr"])
}

fn io_priority(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 5i64}));
    rig.facts(&mut bundle, &["schedule"])?.is("schedule", "0 0 0x4005 0x0")
}

fn personality_of_32_bits(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.personality", json!({"domain": "LINUX32"}));
    rig.facts(&mut bundle, &["schedule"])?.is("schedule", "0 0 0x0 0x8")
}

fn personality_with_flags_is_refused(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let flags = json!(["ADDR_NO_RANDOMIZE"]);
    bundle.set("linux.personality", json!({"domain": "LINUX", "flags": flags}));
    rig.refused(&bundle, &["linux.personality.flags"])
}
