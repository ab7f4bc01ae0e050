//! The resource statistics of a container.

use alloc::string::String;

use crate::error::Result;
use crate::json::Decoder;
use crate::members;

/// Resource statistics of a container's cgroup. Values that the kernel does not report are 0.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// CPU time in nanoseconds: total, in the kernel, and in user mode.
    pub cpu_total: u64,
    /// See `cpu_total`.
    pub cpu_kernel: u64,
    /// See `cpu_total`.
    pub cpu_user: u64,
    /// The number of periods in which the CPU quota was used up.
    pub cpu_throttled_periods: u64,
    /// Memory in bytes: in use, the limit (`u64::MAX` if there is none), and the maximum that was in use.
    pub memory_usage: u64,
    /// See `memory_usage`.
    pub memory_limit: u64,
    /// See `memory_usage`.
    pub memory_max: u64,
    /// The number of processes and threads.
    pub pids_current: u64,
    /// Their limit; 0 if there is none.
    pub pids_limit: u64,
    /// All statistics, as `mote events` prints them: an object in JSON.
    pub json: String,
}

impl Stats {
    /// Decodes a line of `events`.
    pub(super) fn decode(line: String) -> Result<Self> {
        let mut text = line.clone().into_bytes();
        let mut stats = Stats { json: line, ..Stats::default() };
        let mut decoder = Decoder::new("statistics", &mut text);
        let d = &mut decoder;
        members!(d, { "data" => members!(d, {
            "cpu" => members!(d, {
                "usage" => members!(d, {
                    "total" => stats.cpu_total = d.integer(),
                    "kernel" => stats.cpu_kernel = d.integer(),
                    "user" => stats.cpu_user = d.integer(),
                }),
                "throttling" => members!(d, {
                    "throttledPeriods" => stats.cpu_throttled_periods = d.integer(),
                }),
            }),
            "memory" => members!(d, { "usage" => members!(d, {
                "usage" => stats.memory_usage = d.integer(),
                "limit" => stats.memory_limit = d.integer(),
                "max" => stats.memory_max = d.integer(),
            }) }),
            "pids" => members!(d, {
                "current" => stats.pids_current = d.integer(),
                "limit" => stats.pids_limit = d.integer(),
            }),
        }) });
        decoder.finish()?;
        Ok(stats)
    }
}
