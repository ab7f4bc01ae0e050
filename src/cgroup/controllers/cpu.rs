//! `linux.resources.cpu`: the controllers cpu (scheduler/sched-bwc.rst, sched-rt-group.rst; cgroup-v2.rst, "CPU")
//! and cpuset (cpuset(7)).

use super::write::{Limit, Writes, nonzero};
use crate::config::resources::Cpu;
use crate::error::{Result, Show};

impl Writes<'_> {
    /// Adds shares or weight, quota, period, burst and realtime limits. Errors: a realtime limit on v2.
    pub fn cpu(&mut self, cpu: &Cpu<'_>) -> Result<()> {
        let v2 = self.is_v2("cpu");
        // Saturates: the kernel does not accept more than i64::MAX.
        let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        let idle = cpu.idle.is_some_and(|idle| idle != 0);
        // An idle cgroup has the lowest weight, and the kernel rejects another one.
        let shares = nonzero(number(cpu.shares)).filter(|_| !idle);
        match v2 {
            true => self.put_some("cpu.weight", shares.map(weight), "cpu.shares"),
            false => self.put_some("cpu.shares", shares, "cpu.shares"),
        }
        let (quota, period) = (nonzero(cpu.quota).map(|quota| quota.max(-1)), nonzero(number(cpu.period)));
        if v2 {
            // A quota alone keeps the present period.
            match (quota, period) {
                (Some(quota), None) => self.put("cpu.max", &Limit(quota), "cpu.quota"),
                (_, Some(period)) => {
                    let quota = Limit(quota.unwrap_or(-1));
                    self.put("cpu.max", &format_args!("{quota} {period}"), "cpu.quota");
                }
                (None, None) => {}
            }
        } else {
            self.put_some("cpu.cfs_period_us", period, "cpu.period");
            self.put_some("cpu.cfs_quota_us", quota, "cpu.quota");
        }
        let burst = if v2 { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
        self.put_some(burst, number(cpu.burst), "cpu.burst");
        self.put_some("cpu.idle", cpu.idle, "cpu.idle");
        self.put_some_v1("cpu.rt_period_us", nonzero(number(cpu.realtime_period)), "cpu.realtimePeriod")?;
        self.put_some_v1("cpu.rt_runtime_us", nonzero(cpu.realtime_runtime), "cpu.realtimeRuntime")
    }

    /// Adds the lists of CPUs and memory nodes.
    pub fn cpuset(&mut self, cpu: &Cpu<'_>) {
        for (list, file, field) in
            [(cpu.cpus, "cpuset.cpus", "cpu.cpus"), (cpu.mems, "cpuset.mems", "cpu.mems")]
        {
            if let Some(list) = list {
                self.put(file, &Show(list), field);
            }
        }
    }
}

/// Converts CPU shares (2 to 262144, default 1024) to a v2 weight (1 to 10000, default 100), by the formula that crun
/// and runc use since 2025: 10 ^ ((l² + 125 l) / 612 − 7 / 34), where l is the base-2 logarithm of the shares.
fn weight(shares: i64) -> i64 {
    let shares = shares.clamp(2, 262_144) as u64;
    let l = log2(shares);
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    let value = exp(exponent * core::f64::consts::LN_10);
    // Some exact results are whole numbers, which a rounding error must not raise to the next one.
    let whole = (value - 1e-6) as i64;
    (whole + 1).clamp(1, 10_000)
}

/// The base-2 logarithm, which core lacks: the integer part from the highest bit, the fraction bit by bit by squaring.
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

/// The exponential function, which core lacks, as a power series; for small exponents.
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
    use crate::cgroup::controllers::write::table::check;
    use crate::config::resources::Resources;

    fn with(cpu: Cpu<'static>) -> Resources<'static> {
        Resources { cpu, ..Resources::default() }
    }

    #[test]
    fn quota_and_period() {
        for (quota, period, v1, v2) in [
            (Some(0), Some(0), &[][..], &[][..]),
            (Some(1000), None, &["cpu.cfs_quota_us=1000"], &["cpu.max=1000"]),
            (None, Some(2000), &["cpu.cfs_period_us=2000"], &["cpu.max=max 2000"]),
            (
                Some(1000),
                Some(2000),
                &["cpu.cfs_period_us=2000", "cpu.cfs_quota_us=1000"],
                &["cpu.max=1000 2000"],
            ),
            (Some(-1), None, &["cpu.cfs_quota_us=-1"], &["cpu.max=max"]),
            (Some(i64::MIN), Some(1), &["cpu.cfs_period_us=1", "cpu.cfs_quota_us=-1"], &["cpu.max=max 1"]),
        ] {
            check(&with(Cpu { quota, period, ..Cpu::default() }), v1, v2);
        }
        let burst = with(Cpu { quota: Some(5), burst: Some(0), ..Cpu::default() });
        check(&burst, &["cpu.cfs_quota_us=5", "cpu.cfs_burst_us=0"], &["cpu.max=5", "cpu.max.burst=0"]);
    }

    #[test]
    fn weight_and_idle() {
        let with = |shares, idle| with(Cpu { shares: Some(shares), idle, ..Cpu::default() });
        check(&with(0, None), &[], &[]);
        check(&with(1024, None), &["cpu.shares=1024"], &["cpu.weight=100"]);
        check(&with(2, Some(0)), &["cpu.shares=2", "cpu.idle=0"], &["cpu.weight=1", "cpu.idle=0"]);
        check(&with(1024, Some(1)), &["cpu.idle=1"], &["cpu.idle=1"]);
    }

    #[test]
    fn realtime_and_sets() {
        let runtime = with(Cpu { realtime_runtime: Some(-1), ..Cpu::default() });
        let error = "linux.resources.cpu.realtimeRuntime: cgroup v2 has no such limit";
        check(&runtime, &["cpu.rt_runtime_us=-1"], &[error]);
        let period = with(Cpu { realtime_period: Some(9), ..Cpu::default() });
        let error = "linux.resources.cpu.realtimePeriod: cgroup v2 has no such limit";
        check(&period, &["cpu.rt_period_us=9"], &[error]);
        let sets = ["cpuset.cpus=0-3,7", "cpuset.mems=0"];
        check(&with(Cpu { cpus: Some(c"0-3,7"), mems: Some(c"0"), ..Cpu::default() }), &sets, &sets);
    }

    #[test]
    fn shares_to_weight() {
        for (shares, expected) in [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (i64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        for shares in 2..=262_144i64 {
            let l = (shares as f64).log2();
            let exact = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0);
            assert_eq!(weight(shares), (exact - 1e-6).ceil() as i64, "{shares}");
        }
    }
}
