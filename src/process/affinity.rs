//! The CPUs a process may run on (sched_setaffinity(2); config.md, "execCPUAffinity").

use alloc::vec::Vec;

use super::numbers;
use crate::config::process::CpuAffinity;
use crate::error::{At, On, Result};
use crate::sys::sched::sched_setaffinity;

/// Which CPUs.
#[derive(Debug, Default)]
pub enum Plan {
    /// All that the cgroup has: whatever kept mote itself to some of them is not the container's.
    #[default]
    All,
    /// As it is.
    Kept,
    /// These, as bits.
    These(Vec<u64>),
}

impl Plan {
    /// Before a process that joins a container is in its cgroup.
    pub fn initial(affinity: Option<&CpuAffinity<'_>>) -> Result<Self> {
        let list = affinity.and_then(|affinity| affinity.initial);
        Self::of(list).at(format_args!("process.execCPUAffinity.initial"))
    }

    /// When it is there.
    pub fn last(affinity: Option<&CpuAffinity<'_>>) -> Result<Self> {
        match affinity {
            Some(affinity) => Self::of(affinity.last).at(format_args!("process.execCPUAffinity.final")),
            None => Ok(Plan::All),
        }
    }

    fn of(list: Option<&str>) -> Result<Self> {
        match list.filter(|list| !list.is_empty()) {
            Some(list) => numbers::parse(list).map(Plan::These),
            None => Ok(Plan::Kept),
        }
    }

    /// Sets them for this process.
    pub fn apply(&self) -> Result<()> {
        match self {
            // Where it is not allowed, things stay as they are, which is nothing more.
            Plan::All => {
                let _ = sched_setaffinity(&[u64::MAX; 128]);
                Ok(())
            }
            Plan::Kept => Ok(()),
            Plan::These(cpus) => {
                sched_setaffinity(cpus).on(format_args!("process.execCPUAffinity: sched_setaffinity"))
            }
        }
    }
}
