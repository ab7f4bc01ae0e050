//! Limits as files and their contents: pure, for either layout (cgroups(7), the kernel's
//! admin-guide/cgroup-v1 and cgroup-v2.rst; config-linux.md, "Control groups").

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::io::Errno;

use crate::error::{Error, Result, Show};
use crate::spec::resources::{Cpu, Memory, Resources};

/// One write to one file of the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The controller: on v1 the hierarchy, on v2 what must be enabled above.
    pub controller: &'static str,
    pub file: &'static str,
    pub value: String,
    /// The configuration's name for it, for errors.
    pub field: &'static str,
    /// It may fail: see [`Write::excuses`].
    pub optional: bool,
}

impl Write {
    /// Whether it may fail so. A file may be missing: what it limits is then not there either. A rule that nobody
    /// asked for may be refused.
    pub fn excuses(&self, error: &Error) -> bool {
        self.optional
            && match self.controller {
                "devices" => error.is(Errno::PERM) || error.is(Errno::ACCESS),
                _ => error.is(Errno::NOENT),
            }
    }
}

/// Writes in the making, for one layout.
struct Writes {
    unified: bool,
    list: Vec<Write>,
}

/// Everything to write but rules of devices, in order. `unified` is cgroup v2.
pub fn plan(resources: &Resources<'_>, unified: bool) -> Result<Vec<Write>> {
    refuse(resources)?;
    let mut writes = Writes { unified, list: Vec::with_capacity(16) };
    writes.memory(&resources.memory)?;
    writes.cpu(&resources.cpu)?;
    writes.cpuset(&resources.cpu);
    if let Some(limit) = resources.pids {
        writes.put("pids", "pids.max", limit_text(limit), "pids.limit");
    }
    Ok(writes.list)
}

/// Whether the controller is one that the container's limits need on a v2 hierarchy.
pub fn needs(writes: &[Write], controller: &str) -> bool {
    writes.iter().any(|write| write.controller == controller)
}

/// What there is no code for yet is refused: a limit must not be ignored.
fn refuse(resources: &Resources<'_>) -> Result<()> {
    let no = |field: &str| Error::unsupported(format_args!("linux.resources.{field}: not supported yet"));
    let refused = match resources {
        r if !r.block_io.is_empty() => "blockIO",
        r if !r.hugepage_limits.is_empty() => "hugepageLimits",
        r if r.network.class_id.unwrap_or(0) != 0 => "network.classID",
        r if !r.network.priorities.is_empty() => "network.priorities",
        r if !r.rdma.is_empty() => "rdma",
        r if !r.unified.is_empty() => "unified",
        _ => return Ok(()),
    };
    Err(no(refused))
}

/// -1 is no limit.
fn limit_text(limit: i64) -> String {
    if limit < 0 { String::from("max") } else { limit.to_string() }
}

impl Writes {
    fn put(&mut self, controller: &'static str, file: &'static str, value: String, field: &'static str) {
        self.list.push(Write { controller, file, value, field, optional: false });
    }

    /// A file that only v1 has.
    fn v1_only(
        &mut self,
        controller: &'static str,
        file: &'static str,
        value: String,
        field: &'static str,
    ) -> Result<()> {
        if self.unified {
            return Err(Error::invalid(format_args!("linux.resources.{field}: cgroup v2 has no such limit")));
        }
        self.put(controller, file, value, field);
        Ok(())
    }

    /// Zero is what engines write for "not set", except for swappiness.
    fn memory(&mut self, memory: &Memory) -> Result<()> {
        let set = |value: Option<i64>| value.filter(|value| *value != 0);
        if self.unified {
            self.memory_v2(memory)?;
        } else {
            // The limit before the sum of memory and swap, which must not be below it.
            let files = [
                (set(memory.limit), "memory.limit_in_bytes", "memory.limit"),
                (set(memory.swap), "memory.memsw.limit_in_bytes", "memory.swap"),
                (set(memory.reservation), "memory.soft_limit_in_bytes", "memory.reservation"),
            ];
            for (value, file, field) in files {
                if let Some(value) = value {
                    self.put("memory", file, value.to_string(), field);
                }
            }
        }
        let old = [
            (set(memory.kernel), "memory.kmem.limit_in_bytes", "memory.kernel"),
            (set(memory.kernel_tcp), "memory.kmem.tcp.limit_in_bytes", "memory.kernelTCP"),
            (memory.swappiness.map(|value| value as i64), "memory.swappiness", "memory.swappiness"),
            (
                memory.disable_oom_killer.filter(|on| *on).map(i64::from),
                "memory.oom_control",
                "memory.disableOOMKiller",
            ),
        ];
        for (value, file, field) in old {
            if let Some(value) = value {
                self.v1_only("memory", file, value.to_string(), field)?;
            }
        }
        // Every kernel since 5.11 accounts hierarchically, and v2 always did.
        if memory.use_hierarchy == Some(true) && !self.unified {
            self.put("memory", "memory.use_hierarchy", String::from("1"), "memory.useHierarchy");
        }
        Ok(())
    }

    /// v2 limits swap alone, the configuration memory and swap together.
    fn memory_v2(&mut self, memory: &Memory) -> Result<()> {
        let set = |value: Option<i64>| value.filter(|value| *value != 0);
        if let Some(limit) = set(memory.limit) {
            self.put("memory", "memory.max", limit_text(limit), "memory.limit");
        }
        if let Some(both) = set(memory.swap) {
            let swap = match set(memory.limit) {
                _ if both < 0 => -1,
                Some(limit) if limit > 0 && both >= limit => both - limit,
                _ => {
                    return Err(Error::invalid(format_args!(
                        "linux.resources.memory.swap: {both} is memory and swap together, and needs a memory.limit below it"
                    )));
                }
            };
            self.put("memory", "memory.swap.max", limit_text(swap), "memory.swap");
            // A kernel without swap has no such file, and nothing to limit.
            if let Some(write) = self.list.last_mut() {
                write.optional = true;
            }
        }
        if let Some(reservation) = set(memory.reservation) {
            self.put("memory", "memory.low", limit_text(reservation), "memory.reservation");
        }
        Ok(())
    }

    fn cpu(&mut self, cpu: &Cpu<'_>) -> Result<()> {
        let (quota, period) = (cpu.quota.filter(|q| *q != 0), cpu.period.filter(|p| *p != 0));
        if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
            match self.unified {
                true => self.put("cpu", "cpu.weight", weight(shares).to_string(), "cpu.shares"),
                false => self.put("cpu", "cpu.shares", shares.to_string(), "cpu.shares"),
            }
        }
        if self.unified {
            if quota.is_some() || period.is_some() {
                let quota = quota.filter(|q| *q > 0).map_or(String::from("max"), |q| q.to_string());
                // Without a period the kernel's default of 100 ms stays.
                let value = period.map_or(quota.clone(), |period| format!("{quota} {period}"));
                self.put("cpu", "cpu.max", value, "cpu.quota");
            }
        } else {
            if let Some(period) = period {
                self.put("cpu", "cpu.cfs_period_us", period.to_string(), "cpu.period");
            }
            if let Some(quota) = quota {
                self.put("cpu", "cpu.cfs_quota_us", quota.max(-1).to_string(), "cpu.quota");
            }
        }
        if let Some(burst) = cpu.burst {
            let file = if self.unified { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
            self.put("cpu", file, burst.to_string(), "cpu.burst");
        }
        if let Some(idle) = cpu.idle {
            self.put("cpu", "cpu.idle", idle.to_string(), "cpu.idle");
        }
        if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
            self.v1_only("cpu", "cpu.rt_period_us", period.to_string(), "cpu.realtimePeriod")?;
        }
        if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
            self.v1_only("cpu", "cpu.rt_runtime_us", runtime.to_string(), "cpu.realtimeRuntime")?;
        }
        Ok(())
    }

    fn cpuset(&mut self, cpu: &Cpu<'_>) {
        for (list, file, field) in
            [(cpu.cpus, "cpuset.cpus", "cpu.cpus"), (cpu.mems, "cpuset.mems", "cpu.mems")]
        {
            if let Some(list) = list {
                self.put("cpuset", file, format!("{}", Show(list)), field);
            }
        }
    }
}

/// CPU shares (2 to 262144, 1024 by default) as a v2 weight (1 to 10000, 100 by default), on the curve that
/// crun and runc have since 2025: 10 ^ ((l² + 125 l) / 612 − 7 / 34), l the base-2 logarithm of the shares.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    let l = log2(shares);
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    let value = exp(exponent * core::f64::consts::LN_10);
    // The curve goes through whole numbers, which rounding errors must not push up.
    let whole = (value - 1e-6) as u64;
    (whole + 1).clamp(1, 10_000)
}

/// core has no logarithm: the whole part by the highest bit, the rest bit by bit by squaring.
fn log2(value: u64) -> f64 {
    let whole = value.ilog2();
    let mut rest = value as f64 / (1u64 << whole) as f64;
    let (mut result, mut bit) = (f64::from(whole), 0.5);
    for _ in 0..50 {
        rest *= rest;
        if rest >= 2.0 {
            rest /= 2.0;
            result += bit;
        }
        bit /= 2.0;
    }
    result
}

/// core has no exponential: the series, for the small exponents above.
fn exp(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..60 {
        term *= x / f64::from(n);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        for (shares, expected) in [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        for shares in 2..=262_144u64 {
            let l = (shares as f64).log2();
            let exact = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0);
            assert_eq!(weight(shares), (exact - 1e-6).ceil() as u64, "{shares}");
        }
    }
}
