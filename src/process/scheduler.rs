//! How the process is scheduled, on CPUs and for storage, and what it takes its kernel for (sched_setattr(2),
//! ioprio_set(2), personality(2); config.md, "Scheduler", "IO Priority"; config-linux.md, "Personality").

use crate::error::{Error, On, Result};
use crate::spec::linux::Personality;
use crate::spec::process::{IoPriority, POLICIES, SCHEDULER_FLAGS, Scheduler};
use crate::sys::sched::{Attributes, ioprio_set, personality, sched_setattr};

/// The settings; what is not given stays as it is.
#[derive(Debug, Default)]
pub struct Plan {
    attributes: Option<Attributes>,
    /// Class and level, as the kernel packs them.
    io: Option<u16>,
    personality: Option<u32>,
}

/// `PER_LINUX` and `PER_LINUX32` of include/uapi/linux/personality.h.
const DOMAINS: [(&str, u32); 2] = [("LINUX", 0), ("LINUX32", 8)];

/// `IOPRIO_CLASS_SHIFT` of include/uapi/linux/ioprio.h.
const CLASS_SHIFT: u16 = 13;

impl Plan {
    /// Out of the words of the configuration, whose places in their tables are the kernel's numbers.
    pub fn new(
        scheduler: Option<&Scheduler<'_>>,
        io: Option<IoPriority>,
        personality: Option<&Personality<'_>>,
    ) -> Result<Self> {
        let place = |words: &[&str], word: &str| words.iter().position(|known| *known == word).unwrap_or(0);
        let attributes = scheduler.map(|given| {
            let mut all = Attributes::default();
            all.policy = place(&POLICIES, given.policy) as u32;
            all.flags = given.flags.iter().fold(0, |bits, flag| bits | 1 << place(&SCHEDULER_FLAGS, flag));
            (all.nice, all.priority) = (given.nice, given.priority as u32);
            (all.runtime, all.deadline, all.period) = (given.runtime, given.deadline, given.period);
            all
        });
        if personality.is_some_and(|given| !given.flags.is_empty()) {
            return Err(Error::invalid(format_args!("linux.personality.flags: the specification has none")));
        }
        let domain = |given: &Personality<'_>| DOMAINS.iter().find(|(name, _)| *name == given.domain);
        Ok(Plan {
            attributes,
            io: io.map(|io| u16::from(io.class) << CLASS_SHIFT | u16::from(io.priority)),
            personality: personality.and_then(domain).map(|(_, number)| *number),
        })
    }

    /// Sets them for this process, while it has CAP_SYS_NICE.
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
