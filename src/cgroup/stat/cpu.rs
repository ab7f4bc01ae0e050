//! Statistics of CPU time, cpusets, and pressure (cgroup-v1/cpuacct.rst, cpusets.rst; accounting/psi.rst). Times are in
//! nanoseconds.

use super::files::{Files, number, value};

/// The unit of `cpuacct.stat` (USER_HZ, which is 100 on every architecture that mote supports), in nanoseconds.
const TICK: u64 = 10_000_000;

/// The unit of v2, microseconds, in nanoseconds.
const MICRO: u64 = 1000;

/// CPU time used, and how often and how long the quota throttled the cgroup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub total: u64,
    pub kernel: u64,
    pub user: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled: u64,
}

impl Files {
    /// CPU time, summed over all CPUs.
    pub fn cpu(&mut self) -> Cpu {
        let stat = self.text(&["cpu.stat"]).unwrap_or_default();
        let micro = |name| value(stat, name).saturating_mul(MICRO);
        let mut cpu = Cpu {
            total: micro("usage_usec"),
            kernel: micro("system_usec"),
            user: micro("user_usec"),
            periods: value(stat, "nr_periods"),
            throttled_periods: value(stat, "nr_throttled"),
            throttled: micro("throttled_usec").max(value(stat, "throttled_time")),
        };
        if let Some(total) = self.text(&["cpuacct.usage"]) {
            cpu.total = number(total);
            let stat = self.text(&["cpuacct.stat"]).unwrap_or_default();
            let ticks = |name| value(stat, name).saturating_mul(TICK);
            (cpu.kernel, cpu.user) = (ticks("system"), ticks("user"));
        }
        cpu
    }

    /// Calls `each` with the time used on each CPU; v1 only.
    pub fn cpu_each(&mut self, each: &mut dyn FnMut(u64)) {
        let text = self.text(&["cpuacct.usage_percpu"]).unwrap_or_default();
        text.split_ascii_whitespace().map(number).for_each(each);
    }

    /// Calls `each` with the time used on each CPU in kernel mode, or in user mode; v1 only. The file's first line is
    /// `cpu user system`.
    pub fn cpu_each_in(&mut self, kernel: bool, each: &mut dyn FnMut(u64)) {
        let rows = self.text(&["cpuacct.usage_all"]).unwrap_or_default().lines().skip(1);
        rows.filter_map(|row| row.split(' ').nth(1 + usize::from(kernel))).map(number).for_each(each);
    }

    /// Whether the cpuset controller is on v1: that of v2 has only the lists.
    pub fn has_cpuset(&mut self) -> bool {
        self.text(&["cpuset.mem_hardwall"]).is_some()
    }

    /// The number in the cpuset file of this name, which may be -1.
    pub fn cpuset(&mut self, name: &str) -> i64 {
        let text = self.text(&["cpuset.", name]).unwrap_or_default();
        match text.strip_prefix('-') {
            Some(text) => -(number(text) as i64),
            None => number(text) as i64,
        }
    }

    /// Calls `each` with the CPUs (`cpus`) or memory nodes (`mems`) of the cpuset.
    pub fn cpuset_list(&mut self, name: &str, each: &mut dyn FnMut(u64)) {
        list(self.text(&["cpuset.", name]).unwrap_or_default(), each);
    }

    /// Pressure stall information for `cpu`, `memory` or `io`: the time in which some processes (`some`) or all
    /// (`full`) waited, as the kernel prints it: averages in percent and the sum in microseconds. v2 has this even
    /// without the controllers.
    pub fn pressure(
        &mut self,
        what: &str,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, &str)>)> {
        pressure(self.text(&[what, ".pressure"]).unwrap_or_default())
    }
}

/// Parses `0-3,5` (cpuset(7), "List format").
fn list(text: &str, each: &mut dyn FnMut(u64)) {
    for piece in text.trim_ascii().split(',').filter(|piece| !piece.is_empty()) {
        let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
        // Bounded: no machine has more than 65536 CPUs or nodes.
        (number(from)..=number(to).min(u16::MAX.into())).for_each(&mut *each);
    }
}

/// Parses `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the line `full`, which `cpu` has since linux 5.13.
fn pressure(text: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, &str)>)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(who, values)| (who, values.split(' ').filter_map(|word| word.split_once('='))))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::cgroup::stat::files::tests::with;

    fn all(fill: impl FnOnce(&mut dyn FnMut(u64))) -> Vec<u64> {
        let mut all = Vec::new();
        fill(&mut |number| all.push(number));
        all
    }

    #[test]
    fn v1() {
        let list = [
            ("cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 12345\nnr_bursts 0\nburst_time 0\n"),
            ("cpuacct.usage", "30615991\n"),
            ("cpuacct.stat", "user 2\nsystem 1\n"),
            ("cpuacct.usage_percpu", "17337985 13278006 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 20000000 0\n1 4000000 12000000\n2\n"),
        ];
        with(false, &list, |files| {
            let cpu = Cpu {
                total: 30_615_991,
                kernel: 10_000_000,
                user: 20_000_000,
                periods: 5,
                throttled_periods: 2,
                throttled: 12_345,
            };
            assert_eq!(files.cpu(), cpu);
            assert_eq!(all(|each| files.cpu_each(each)), [17_337_985, 13_278_006]);
            assert_eq!(all(|each| files.cpu_each_in(true, each)), [0, 12_000_000]);
            assert_eq!(all(|each| files.cpu_each_in(false, each)), [20_000_000, 4_000_000]);
        });
    }

    #[test]
    fn v2() {
        let stat = "usage_usec 10\nuser_usec 7\nsystem_usec 3\nnice_usec 0\nnr_periods 1\nthrottled_usec 9\n";
        with(true, &[("cpu.stat", stat)], |files| {
            let (total, kernel, user) = (10_000, 3000, 7000);
            let cpu = Cpu { total, kernel, user, periods: 1, throttled_periods: 0, throttled: 9000 };
            assert_eq!(files.cpu(), cpu);
            assert_eq!(all(|each| files.cpu_each(each)), []);
            assert_eq!(all(|each| files.cpu_each_in(true, each)), []);
        });
        with(true, &[("cpu.stat", "usage_usec 18446744073709551615\nuser_usec x\n")], |files| {
            assert_eq!(files.cpu(), Cpu { total: u64::MAX, ..Cpu::default() });
        });
        with(true, &[], |files| assert_eq!(files.cpu(), Cpu::default()));
    }

    #[test]
    fn cpusets() {
        let table: [(&str, &[u64]); 9] = [
            ("0-3,5\n", &[0, 1, 2, 3, 5]),
            ("7", &[7]),
            ("\n", &[]),
            ("", &[]),
            ("3-1,2", &[2]),
            (",,4,", &[4]),
            ("70000", &[]),
            ("65535-99999999999999999999", &[65535]),
            ("65536-70000", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(all(|each| list(text, each)), expected, "{text:?}");
        }
        with(false, &[("cpuset.cpus", "0-1\n"), ("cpuset.sched_relax_domain_level", "-1\n")], |files| {
            assert_eq!(all(|each| files.cpuset_list("cpus", each)), [0, 1]);
            assert_eq!((files.cpuset("sched_relax_domain_level"), files.cpuset("mem_hardwall")), (-1, 0));
            assert!(!files.has_cpuset());
        });
        with(false, &[("cpuset.mem_hardwall", "0\n")], |files| assert!(files.has_cpuset()));
    }

    #[test]
    fn waiting() {
        let words = |files: &mut Files| {
            let line = |(who, values)| {
                let values: Vec<String> =
                    Iterator::map(values, |(name, value)| format!("{name} {value}")).collect();
                format!("{who}: {}; ", values.join(", "))
            };
            files.pressure("io").map(line).collect::<String>()
        };
        let table = [
            (
                "some avg10=2.93 avg60=100.00 avg300=0.05 total=5585168195\n",
                "some: avg10 2.93, avg60 100.00, avg300 0.05, total 5585168195; ",
            ),
            (
                "some avg10=0.00 total=7\n\nodd\nfull avg10=1.50 odd  total=9",
                "some: avg10 0.00, total 7; full: avg10 1.50, total 9; ",
            ),
            ("", ""),
        ];
        for (text, expected) in table {
            with(true, &[("io.pressure", text)], |files| assert_eq!(words(files), expected));
        }
        with(true, &[("cpu.pressure", "some total=1\n")], |files| assert_eq!(words(files), ""));
    }
}
