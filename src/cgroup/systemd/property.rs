//! Limits as unit properties (systemd.resource-control(5), org.freedesktop.systemd1(5)). They are derived from the
//! writes to cgroup files, so that both are equal, also where one write overrides another. A value that is not valid
//! for a property is only written to the file.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::cgroup::controllers::write::{IfMissing, Write};
use crate::os::dbus::message::Value;

/// A property: name and value.
pub type Property = (Cow<'static, str>, Value);

/// Files that contain a number or `max`: the file, the property, and the lowest valid value of the property.
static LIMITS: [(&str, &str, u64); 12] = [
    ("memory.max", "MemoryMax", 1),
    ("memory.high", "MemoryHigh", 1),
    ("memory.low", "MemoryLow", 0),
    ("memory.min", "MemoryMin", 0),
    ("memory.swap.max", "MemorySwapMax", 0),
    ("memory.zswap.max", "MemoryZSwapMax", 0),
    ("pids.max", "TasksMax", 1),
    ("cpu.weight", "CPUWeight", 1),
    // v1
    ("memory.limit_in_bytes", "MemoryLimit", 1),
    ("cpu.shares", "CPUShares", 2),
    ("blkio.weight", "BlockIOWeight", 10),
    ("blkio.bfq.weight", "BlockIOWeight", 10),
];

/// The keys of io.max and their properties.
static RATES: [(&str, &str); 4] = [
    ("rbps", "IOReadBandwidthMax"),
    ("wbps", "IOWriteBandwidthMax"),
    ("riops", "IOReadIOPSMax"),
    ("wiops", "IOWriteIOPSMax"),
];

/// Whether a file's value is relative: to the values of sibling cgroups, as weights are, or to another limit of the
/// same cgroup. The container's cgroup has no siblings in the cgroup of its scope, so a relative value is also written
/// to the scope's. The equivalent property does not suffice, because systemd may round it.
pub fn is_relative(file: &str) -> bool {
    const EXACT: [&str; 6] = [
        "cpu.idle",
        "cpu.max.burst",
        "cpu.cfs_burst_us",
        "cpu.rt_period_us",
        "cpu.rt_runtime_us",
        "cpu.shares",
    ];
    EXACT.contains(&file) || file.split(['.', '_']).any(|part| part == "weight")
}

/// The properties that are equivalent to these writes.
pub fn plan(writes: &[Write]) -> Vec<Property> {
    let mut list = Properties(Vec::new());
    let mut before = None;
    for write in writes {
        // The alternative to the write before it, for other kernels.
        let second = before.replace(write.if_missing) == Some(IfMissing::TryNext);
        if !second {
            list.write(&write.file, &write.value);
        }
    }
    list.0
}

struct Properties(Vec<Property>);

impl Properties {
    fn put(&mut self, name: &'static str, value: Value) {
        match (self.0.iter_mut().find(|(other, _)| *other == name), value) {
            (Some((_, Value::Rates(list))), Value::Rates(mut more)) => list.append(&mut more),
            (Some((_, old)), value) => *old = value,
            (None, value) => self.0.push((name.into(), value)),
        }
    }

    fn write(&mut self, file: &str, value: &str) {
        if let Some((_, name, least)) = LIMITS.iter().find(|(known, ..)| *known == file) {
            if let Some(limit) = limit(value).filter(|limit| limit >= least) {
                self.put(name, Value::U64(limit));
            }
            return;
        }
        match file {
            // CPUWeight=0 is idle (systemd 252).
            "cpu.idle" if value == "1" => self.put("CPUWeight", Value::U64(0)),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ').unwrap_or((value, ""));
                self.quota(limit(quota), period.trim().parse().ok());
            }
            "cpu.cfs_period_us" => {
                if let Ok(period) = value.parse() {
                    self.put("CPUQuotaPeriodUSec", Value::U64(period));
                }
            }
            "cpu.cfs_quota_us" => {
                let period = self.0.iter().find_map(|(name, value)| match value {
                    Value::U64(period) if name == "CPUQuotaPeriodUSec" => Some(*period),
                    _ => None,
                });
                self.quota(
                    value.parse::<i64>().ok().map(|quota| u64::try_from(quota).unwrap_or(u64::MAX)),
                    period,
                );
            }
            "cpuset.cpus" => self.mask("AllowedCPUs", value),
            "cpuset.mems" => self.mask("AllowedMemoryNodes", value),
            "io.max" => self.rates(value),
            "io.weight" => self.weight(value, |weight| weight),
            "io.bfq.weight" => self.weight(value, from_bfq),
            _ => {}
        }
    }

    /// Adds the CPU quota as microseconds per second. systemd stores whole percents, so the value is rounded up: the
    /// exact quota, in the file of the container's own cgroup, is then the lower one of the two.
    fn quota(&mut self, quota: Option<u64>, period: Option<u64>) {
        let Some(quota) = quota else { return };
        let per_second = match quota {
            u64::MAX => u64::MAX,
            quota => {
                let whole = quota.saturating_mul(1_000_000) / period.unwrap_or(100_000).max(1);
                whole.checked_next_multiple_of(10_000).unwrap_or(u64::MAX)
            }
        };
        if per_second == 0 {
            return;
        }
        self.put("CPUQuotaPerSecUSec", Value::U64(per_second));
        if let Some(period) = period {
            self.put("CPUQuotaPeriodUSec", Value::U64(period));
        }
    }

    fn mask(&mut self, name: &'static str, list: &str) {
        if let Some(mask) = mask(list) {
            self.put(name, Value::Bytes(mask));
        }
    }

    fn rates(&mut self, line: &str) {
        let Some((device, rates)) = line.split_once(' ') else { return };
        for (key, rate) in rates.split(' ').filter_map(|rate| rate.split_once('=')) {
            if let (Some((_, name)), Some(rate)) =
                (RATES.iter().find(|(known, _)| *known == key), limit(rate))
            {
                self.put(name, Value::Rates(vec![(node(device), rate)]));
            }
        }
    }

    /// Adds a weight, given as `N`, `default N` or `MAJOR:MINOR N`.
    fn weight(&mut self, line: &str, scale: fn(u64) -> u64) {
        let (device, weight) = line.split_once(' ').unwrap_or(("default", line));
        let Some(weight) =
            weight.trim().parse().ok().map(scale).filter(|weight| (1..=10_000).contains(weight))
        else {
            return;
        };
        match device {
            "default" => self.put("IOWeight", Value::U64(weight)),
            device => self.put("IODeviceWeight", Value::Rates(vec![(node(device), weight)])),
        }
    }
}

/// The path of a block device, given by `MAJOR:MINOR`.
fn node(device: &str) -> String {
    format!("/dev/block/{device}")
}

fn limit(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Converts a BFQ weight (1 to 1000) to IOWeight (1 to 10000): the inverse of systemd's conversion, where 100 is 100.
fn from_bfq(weight: u64) -> u64 {
    match weight {
        0..=100 => weight,
        _ => 100 + (weight.min(1000) - 100) * 9900 / 900,
    }
}

/// Converts a list such as `0-3,7` to a bit mask; `None` if it is empty or not of this form.
fn mask(list: &str) -> Option<Vec<u8>> {
    let mut mask: Vec<u8> = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // CONFIG_NR_CPUS is 8192 at most.
        if first > last || last >= 8192 {
            return None;
        }
        mask.resize(mask.len().max(last / 8 + 1), 0);
        for bit in first..=last {
            *mask.get_mut(bit / 8)? |= 1 << (bit % 8);
        }
    }
    Some(mask).filter(|mask| !mask.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn show(writes: &[(&'static str, &str)]) -> String {
        let writes: Vec<Write> = writes.iter().map(|(file, value)| Write::new(file, value, "")).collect();
        let one = |(name, value): &Property| match value {
            Value::U64(number) => format!("{name}={number}"),
            Value::Bytes(bytes) => format!("{name}={bytes:x?}"),
            Value::Rates(list) => format!("{name}={list:?}"),
            other => format!("{name}={other:?}"),
        };
        plan(&writes).iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn limits() {
        for (file, value, expected) in [
            ("memory.max", "4096", "MemoryMax=4096"),
            ("memory.max", "max", "MemoryMax=18446744073709551615"),
            ("memory.max", "0", ""),
            ("memory.swap.max", "0", "MemorySwapMax=0"),
            ("memory.low", "7", "MemoryLow=7"),
            ("memory.min", "7\n", "MemoryMin=7"),
            ("memory.high", "7M", ""),
            ("memory.zswap.max", "max", "MemoryZSwapMax=18446744073709551615"),
            ("pids.max", "5", "TasksMax=5"),
            ("pids.max", "0", ""),
            ("cpu.weight", "100", "CPUWeight=100"),
            ("cpu.idle", "1", "CPUWeight=0"),
            ("cpu.idle", "0", ""),
            ("memory.limit_in_bytes", "4096", "MemoryLimit=4096"),
            ("memory.limit_in_bytes", "-1", ""),
            ("cpu.shares", "1024", "CPUShares=1024"),
            ("hugetlb.2MB.max", "0", ""),
        ] {
            assert_eq!(show(&[(file, value)]), expected, "{file}={value}");
        }
        assert_eq!(
            show(&[("pids.max", "5"), ("memory.max", "9"), ("pids.max", "7")]),
            "TasksMax=7 MemoryMax=9"
        );
    }

    #[test]
    fn quotas() {
        for (value, expected) in [
            ("50000 100000", "CPUQuotaPerSecUSec=500000 CPUQuotaPeriodUSec=100000"),
            ("50000", "CPUQuotaPerSecUSec=500000"),
            ("1001 100000", "CPUQuotaPerSecUSec=20000 CPUQuotaPeriodUSec=100000"),
            ("max 50000", "CPUQuotaPerSecUSec=18446744073709551615 CPUQuotaPeriodUSec=50000"),
            ("max", "CPUQuotaPerSecUSec=18446744073709551615"),
            ("18446744073709551614 1", "CPUQuotaPerSecUSec=18446744073709551615 CPUQuotaPeriodUSec=1"),
            ("x", ""),
        ] {
            assert_eq!(show(&[("cpu.max", value)]), expected, "{value}");
        }
        let v1 = [("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "10000")];
        assert_eq!(show(&v1), "CPUQuotaPeriodUSec=20000 CPUQuotaPerSecUSec=500000");
        assert_eq!(show(&[("cpu.cfs_quota_us", "-1")]), "CPUQuotaPerSecUSec=18446744073709551615");
    }

    #[test]
    fn sets() {
        for (list, mask) in [("0", "[1]"), ("0-3,7", "[8f]"), ("9", "[0, 2]"), ("1, 8-9", "[2, 3]")] {
            assert_eq!(show(&[("cpuset.cpus", list)]), format!("AllowedCPUs={mask}"), "{list}");
        }
        assert_eq!(show(&[("cpuset.mems", "0")]), "AllowedMemoryNodes=[1]");
        for list in ["", "3-1", "0-10:2/4", "8192", "x", "18446744073709551615"] {
            assert_eq!(show(&[("cpuset.cpus", list)]), "", "{list}");
        }
    }

    #[test]
    fn storage() {
        assert_eq!(show(&[("io.weight", "200")]), "IOWeight=200");
        assert_eq!(
            show(&[("io.weight", "default 200"), ("io.weight", "8:0 5")]),
            "IOWeight=200 IODeviceWeight=[(\"/dev/block/8:0\", 5)]"
        );
        assert_eq!(show(&[("io.bfq.weight", "1000")]), "IOWeight=10000");
        assert_eq!(show(&[("io.bfq.weight", "8:0 10")]), "IODeviceWeight=[(\"/dev/block/8:0\", 10)]");
        assert_eq!(
            show(&[("io.max", "8:0 rbps=1 wiops=max"), ("io.max", "8:1 rbps=2"), ("io.max", "8:2")]),
            "IOReadBandwidthMax=[(\"/dev/block/8:0\", 1), (\"/dev/block/8:1\", 2)] \
             IOWriteIOPSMax=[(\"/dev/block/8:0\", 18446744073709551615)]"
        );
        let mut first = Write::new("io.bfq.weight", &300, "");
        first.if_missing = IfMissing::TryNext;
        let both = [first, Write::new("io.weight", &2900, "")];
        assert_eq!(plan(&both), [("IOWeight".into(), Value::U64(2300))]);
    }

    #[test]
    fn what_is_relative() {
        for file in
            ["cpu.weight", "cpu.weight.nice", "cpu.idle", "io.bfq.weight", "io.weight", "blkio.weight_device"]
        {
            assert!(is_relative(file), "{file}");
        }
        for file in ["cpu.max", "memory.max", "pids.max", "io.max"] {
            assert!(!is_relative(file), "{file}");
        }
        assert_eq!(from_bfq(100).to_string(), "100");
    }
}
