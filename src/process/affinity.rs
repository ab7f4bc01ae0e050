//! The CPU affinity of a process (sched_setaffinity(2); config.md, "execCPUAffinity").

use alloc::vec::Vec;

use super::numbers;
use crate::config::process::CpuAffinity;
use crate::error::{At, On, Result};
use crate::sys::sched::sched_setaffinity;

/// The CPU affinity to set.
#[derive(Debug, Default)]
pub enum Plan {
    /// All CPUs of the cgroup: the container does not inherit the affinity of mote.
    #[default]
    All,
    /// The current affinity is kept.
    Kept,
    /// These CPUs, as a bit mask.
    These(Vec<u64>),
}

impl Plan {
    /// The affinity of an exec process before it is in the cgroup of the container (`initial`).
    pub fn initial(affinity: Option<&CpuAffinity<'_>>) -> Result<Self> {
        let list = affinity.and_then(|affinity| affinity.initial);
        Self::of(list).at(format_args!("process.execCPUAffinity.initial"))
    }

    /// The affinity when the process is in the cgroup (`final`); all CPUs without `execCPUAffinity`.
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

    /// Sets the affinity of this process.
    pub fn apply(&self) -> Result<()> {
        match self {
            // If this is denied, the affinity stays as it is, which gives the container no more than that.
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
