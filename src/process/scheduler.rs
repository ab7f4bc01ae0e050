//! Scheduling policy, I/O priority and execution domain of the process (sched_setattr(2), ioprio_set(2),
//! personality(2); config.md, "Scheduler", "IO Priority"; config-linux.md, "Personality").

use core::fmt;

use crate::config::linux::Personality;
use crate::config::process::{IoPriority, POLICIES, SCHEDULER_FLAGS, Scheduler};
use crate::error::{Error, On, Result};
use crate::sys::sched::{Attributes, ioprio_set, personality, sched_setattr};

/// The settings; `None` keeps the current one.
#[derive(Debug, Default)]
pub struct Plan {
    attributes: Option<Attributes>,
    /// Class and level, as `IOPRIO_PRIO_VALUE` packs them.
    io: Option<u16>,
    personality: Option<u32>,
}

/// `PER_LINUX` and `PER_LINUX32` of include/uapi/linux/personality.h.
const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// The minimum of SCHED_DEADLINE times in nanoseconds: 1 << `DL_SCALE` (kernel/sched/sched.h), the kernel's resolution.
const LEAST: u64 = 1 << 10;

/// The maximum of SCHED_DEADLINE times in nanoseconds: the kernel reserves the highest bit to detect wrap-around.
const MOST: u64 = i64::MAX as u64;

/// `IOPRIO_CLASS_SHIFT` of include/uapi/linux/ioprio.h.
const CLASS_SHIFT: u16 = 13;

impl Plan {
    /// The plan for the configuration. The indices of policies and flags in their tables are the kernel's numbers.
    pub fn new(
        scheduler: Option<&Scheduler<'_>>,
        io: Option<IoPriority>,
        personality: Option<&Personality<'_>>,
    ) -> Result<Self> {
        let index = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap_or(0);
        let attributes = scheduler.map(|given| {
            let mut all = Attributes::default();
            all.policy = index(&POLICIES, given.policy) as u32;
            all.flags = given.flags.iter().fold(0, |bits, flag| bits | 1 << index(&SCHEDULER_FLAGS, flag));
            (all.nice, all.priority) = (given.nice, given.priority as u32);
            let or_zero = |nanoseconds: Option<u64>| nanoseconds.unwrap_or(0);
            (all.runtime, all.deadline) = (or_zero(given.runtime), or_zero(given.deadline));
            all.period = or_zero(given.period);
            all
        });
        if let Some(given) = scheduler.filter(|given| given.policy == "SCHED_DEADLINE") {
            check_deadline(given)?;
        }
        if personality.is_some_and(|given| !given.flags.is_empty()) {
            return Err(Error::invalid(format_args!("linux.personality.flags: no flags are defined")));
        }
        let domain = |given: &Personality<'_>| DOMAINS.iter().find(|(name, _)| *name == given.domain);
        Ok(Plan {
            attributes,
            io: io.map(|io| u16::from(io.class) << CLASS_SHIFT | u16::from(io.priority)),
            personality: personality.and_then(domain).map(|(_, number)| *number),
        })
    }

    /// Applies the settings to this process. To be called while it has CAP_SYS_NICE.
    pub fn apply(&self) -> Result<()> {
        if let Some(attributes) = self.attributes {
            sched_setattr(attributes).on(format_args!("process.scheduler: sched_setattr"))?;
        }
        if let Some(io) = self.io {
            ioprio_set(io).on(format_args!("process.ioPriority: ioprio_set {io:#x}"))?;
        }
        match self.personality {
            Some(number) => {
                personality(number).on(format_args!("linux.personality: personality {number:#x}"))
            }
            None => Ok(()),
        }
    }
}

/// Checks the parameters of SCHED_DEADLINE, for a better error than the kernel's EINVAL (sched(7), "SCHED_DEADLINE";
/// `__checkparam_dl` of kernel/sched/deadline.c).
#[cold]
#[inline(never)]
fn check_deadline(given: &Scheduler<'_>) -> Result<()> {
    let fail = |why: fmt::Arguments<'_>| {
        Err(Error::invalid(format_args!("process.scheduler: sched_setattr: `SCHED_DEADLINE` {why}")))
    };
    let Some(runtime) = given.runtime else { return fail(format_args!("requires `runtime`")) };
    let Some(deadline) = given.deadline else { return fail(format_args!("requires `deadline`")) };
    let period = given.period.filter(|period| *period != 0).unwrap_or(deadline);
    let limits = [("runtime", runtime), ("deadline", deadline), ("period", period)];
    if let Some((name, _)) = limits.iter().find(|(_, nanoseconds)| *nanoseconds == 0) {
        return fail(format_args!("{name} must be greater than 0"));
    }
    if let Some((name, given)) = limits.iter().find(|(_, given)| !(LEAST..=MOST).contains(given)) {
        return fail(format_args!("{name} {given} must be between {LEAST} and {MOST} ns"));
    }
    if runtime > deadline {
        return fail(format_args!("runtime {runtime} must be <= deadline {deadline}"));
    }
    if deadline > period {
        return fail(format_args!("deadline {deadline} must be <= period {period}"));
    }
    Ok(())
}
