//! The output of `events`, lines of JSON: the members are those of runc, in runc's order, and omitted where runc omits
//! them. Written without a serializer for that reason, and so that all lines share one buffer.

use alloc::string::String;
use core::fmt::{Display, Write};

use crate::cgroup::stat::{Amount, Files};

/// Writes the line for an OOM kill.
pub fn oom(line: &mut String, id: &str) {
    begin(line, "oom", id);
    *line += "}\n";
}

/// Writes the line with the statistics.
pub fn statistics(line: &mut String, id: &str, files: &mut Files) {
    begin(line, "stats", id);
    let json = &mut Json(line);
    json.open("data");
    cpu(json, files);
    cpuset(json, files);
    memory(json, files);
    let (current, limit) = files.pids();
    json.open("pids");
    json.some("current", current);
    json.some("limit", limit);
    json.close();
    block(json, files);
    json.open("hugetlb");
    files.huge(&mut |size, amount| {
        json.open(size);
        json.some("usage", amount.usage);
        json.some("max", amount.max);
        json.member("failcnt", amount.failures);
        json.close();
    });
    json.close();
    // mote reports no resctrl statistics and no network interfaces: runc's output in that case.
    *line += ",\"intel_rdt\":{},\"network_interfaces\":null}}\n";
}

/// Begins a line. IDs contain no characters that have to be escaped.
fn begin(line: &mut String, kind: &str, id: &str) {
    line.clear();
    let _ = write!(line, "{{\"type\":\"{kind}\",\"id\":\"{id}\"");
}

fn cpu(json: &mut Json<'_>, files: &mut Files) {
    let cpu = files.cpu();
    json.open("cpu");
    json.open("usage");
    json.some("total", cpu.total);
    json.list("percpu", &mut |each| files.cpu_each(each));
    json.list("percpu_kernel", &mut |each| files.cpu_each_in(true, each));
    json.list("percpu_user", &mut |each| files.cpu_each_in(false, each));
    json.member("kernel", cpu.kernel);
    json.member("user", cpu.user);
    json.close();
    json.open("throttling");
    json.some("periods", cpu.periods);
    json.some("throttledPeriods", cpu.throttled_periods);
    json.some("throttledTime", cpu.throttled);
    json.close();
    pressure(json, files, "cpu");
    json.close();
}

/// The members of `cpuset`, which are named like the kernel's files. `cpus` and `mems` are lists, omitted if empty.
const CPUSET: [&str; 11] = [
    "cpus",
    "cpu_exclusive",
    "mems",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
];

fn cpuset(json: &mut Json<'_>, files: &mut Files) {
    json.open("cpuset");
    let is_there = files.has_cpuset();
    for name in CPUSET {
        match name {
            "cpus" | "mems" if !is_there => {}
            "cpus" | "mems" => json.list(name, &mut |each| files.cpuset_list(name, each)),
            _ => json.member(name, files.cpuset(name)),
        }
    }
    json.close();
}

fn memory(json: &mut Json<'_>, files: &mut Files) {
    let memory = files.memory();
    json.open("memory");
    json.some("cache", memory.cache);
    json.amount("usage", &memory.usage);
    json.amount("swap", &memory.swap);
    json.amount("kernel", &memory.kernel);
    json.amount("kernelTCP", &memory.kernel_tcp);
    json.group("raw", ["{", "}"], &mut |json| {
        files.memory_all(&mut |name, value| json.member(name, value));
    });
    pressure(json, files, "memory");
    json.close();
}

/// The members of `blkio`: runc's names and the kernel's.
const TRANSFERS: [(&str, &str); 8] = [
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioServicedRecursive", "io_serviced"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
];

fn block(json: &mut Json<'_>, files: &mut Files) {
    json.open("blkio");
    for (name, counted) in TRANSFERS {
        json.group(name, ["[", "]"], &mut |json| {
            files.transfers(counted, &mut |transfer| {
                json.item(&"{");
                json.some("major", transfer.major);
                json.some("minor", transfer.minor);
                if !transfer.direction.is_empty() {
                    json.item(&format_args!("\"op\":\"{}\"", transfer.direction));
                }
                json.some("value", transfer.value);
                json.close();
            });
        });
    }
    pressure(json, files, "io");
    json.close();
}

fn pressure(json: &mut Json<'_>, files: &mut Files, what: &str) {
    json.group("psi", ["{", "}"], &mut |json| {
        for (who, values) in files.pressure(what) {
            json.open(who);
            // The kernel's numbers are valid in JSON.
            values.for_each(|(name, value)| json.member(name, value));
            json.close();
        }
    });
}

/// A callback for the numbers of a list.
type Each<'a> = &'a mut dyn FnMut(u64);

/// A JSON writer. Names are constants or come from the kernel, and need no escaping.
struct Json<'a>(&'a mut String);

impl Json<'_> {
    /// Writes an item, after a comma if it is not the first.
    fn item(&mut self, next: &dyn Display) {
        let comma = if self.0.ends_with('{') || self.0.ends_with('[') { "" } else { "," };
        // Writing to a string never fails.
        let _ = write!(self.0, "{comma}{next}");
    }

    fn member(&mut self, name: &str, value: impl Display) {
        self.item(&format_args!("\"{name}\":{value}"));
    }

    /// Writes a number, omitted if it is 0.
    fn some(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.member(name, number);
        }
    }

    fn open(&mut self, name: &str) {
        self.member(name, "{");
    }

    fn close(&mut self) {
        self.0.push('}');
    }

    /// Writes an object or array, omitted if it is empty.
    fn group(&mut self, name: &str, [opening, closing]: [&str; 2], fill: &mut dyn FnMut(&mut Self)) {
        let before = self.0.len();
        self.member(name, opening);
        fill(self);
        match self.0.ends_with(opening) {
            true => self.0.truncate(before),
            false => *self.0 += closing,
        }
    }

    fn list(&mut self, name: &str, fill: &mut dyn FnMut(Each<'_>)) {
        self.group(name, ["[", "]"], &mut |json| fill(&mut |number| json.item(&number)));
    }

    fn amount(&mut self, name: &str, amount: &Amount) {
        self.open(name);
        self.member("limit", amount.limit);
        self.some("usage", amount.usage);
        self.some("max", amount.max);
        self.member("failcnt", amount.failures);
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::stat::files::tests::with;

    const CPUSET: &str = concat!(
        r#""mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"#,
        r#""memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":"#
    );

    const END: &str = r#""intel_rdt":{},"network_interfaces":null}}"#;

    /// Checks the line for these files, given in pieces.
    fn check(is_v2: bool, list: &[(&str, &str)], pieces: &[&str]) {
        with(is_v2, list, |files| {
            let mut line = String::from("the line before");
            statistics(&mut line, "x", files);
            assert_eq!(line, pieces.concat() + "\n");
        });
    }

    #[test]
    fn nothing() {
        let none = r#"{"limit":0,"failcnt":0}"#;
        let cpu = r#"{"usage":{"kernel":0,"user":0},"throttling":{}}"#;
        let pieces = [
            r#"{"type":"stats","id":"x","data":{"cpu":"#,
            cpu,
            r#","cpuset":{"cpu_exclusive":0,"#,
            CPUSET,
            r#"0},"memory":{"usage":"#,
            none,
            r#","swap":"#,
            none,
            r#","kernel":"#,
            none,
            r#","kernelTCP":"#,
            none,
            r#"},"pids":{},"blkio":{},"hugetlb":{},"#,
            END,
        ];
        for is_v2 in [false, true] {
            check(is_v2, &[], &pieces);
        }
        // v2's cpuset has lists, which are not what v1's are.
        check(true, &[("cpuset.cpus", "0-3\n"), ("cpuset.mems", "0\n")], &pieces);
    }

    #[test]
    fn v1() {
        let list = [
            ("cpuacct.usage", "30\n"),
            ("cpuacct.stat", "user 2\nsystem 1\n"),
            ("cpuacct.usage_percpu", "17 13\n"),
            ("cpuacct.usage_all", "cpu user system\n0 1 2\n1 3 4\n"),
            ("cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 12\n"),
            ("cpuset.cpus", "0-1\n"),
            ("cpuset.mems", "0\n"),
            ("cpuset.cpu_exclusive", "1\n"),
            ("cpuset.mem_hardwall", "0\n"),
            ("cpuset.sched_relax_domain_level", "-1\n"),
            ("memory.kmem.usage_in_bytes", "9\n"),
            ("memory.kmem.failcnt", "7\n"),
            ("pids.max", "max\n"),
            ("blkio.throttle.io_serviced_recursive", "8:0 Read 5\n8:0 Write 0\nTotal 5\n"),
            ("blkio.bfq.time_recursive", "254:1 6\n"),
        ];
        let pieces = [
            r#"{"type":"stats","id":"x","data":{"cpu":{"usage":{"total":30,"percpu":[17,13],"#,
            r#""percpu_kernel":[2,4],"percpu_user":[1,3],"kernel":10000000,"user":20000000},"#,
            r#""throttling":{"periods":5,"throttledPeriods":2,"throttledTime":12}},"#,
            r#""cpuset":{"cpus":[0,1],"cpu_exclusive":1,"mems":[0],"#,
            CPUSET,
            r#"-1},"memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"#,
            r#""kernel":{"limit":0,"usage":9,"failcnt":7},"kernelTCP":{"limit":0,"failcnt":0}},"#,
            r#""pids":{},"blkio":{"ioServicedRecursive":[{"major":8,"op":"Read","value":5},"#,
            r#"{"major":8,"op":"Write"}],"ioTimeRecursive":[{"major":254,"minor":1,"value":6}]},"#,
            r#""hugetlb":{},"#,
            END,
        ];
        check(false, &list, &pieces);
    }

    #[test]
    fn v2() {
        let list = [
            ("cpu.stat", "usage_usec 3\nuser_usec 1\nsystem_usec 2\n"),
            ("cpu.pressure", "some avg10=0.00 avg60=1.50 avg300=0.01 total=7\n"),
            ("memory.stat", "anon 5\nfile 6\n"),
            ("memory.current", "11\n"),
            ("memory.max", "max\n"),
            ("memory.peak", "12\n"),
            ("pids.current", "2\n"),
            ("pids.max", "3\n"),
            ("io.stat", "8:1 rbytes=4096 wbytes=0 rios=1 wios=0\n"),
            ("hugetlb.2MB.rsvd.current", "2097152\n"),
            ("hugetlb.2MB.events", "max 1\n"),
        ];
        let pieces = [
            r#"{"type":"stats","id":"x","data":{"cpu":{"usage":{"total":3000,"kernel":2000,"#,
            r#""user":1000},"throttling":{},"psi":{"some":{"avg10":0.00,"avg60":1.50,"avg300":0.01,"#,
            r#""total":7}}},"cpuset":{"cpu_exclusive":0,"#,
            CPUSET,
            r#"0},"memory":{"cache":6,"usage":{"limit":18446744073709551615,"usage":11,"max":12,"#,
            r#""failcnt":0},"swap":{"limit":18446744073709551615,"usage":11,"failcnt":0},"#,
            r#""kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"#,
            r#""raw":{"anon":5,"file":6}},"pids":{"current":2,"limit":3},"blkio":{"#,
            r#""ioServiceBytesRecursive":[{"major":8,"minor":1,"op":"Read","value":4096},"#,
            r#"{"major":8,"minor":1,"op":"Write"}],"ioServicedRecursive":[{"major":8,"minor":1,"#,
            r#""op":"Read","value":1},{"major":8,"minor":1,"op":"Write"}]},"#,
            r#""hugetlb":{"2MB":{"usage":2097152,"failcnt":1}},"#,
            END,
        ];
        check(true, &list, &pieces);
    }

    #[test]
    fn kills() {
        let mut line = String::from("the line before");
        oom(&mut line, "x");
        assert_eq!(line.trim_end(), r#"{"type":"oom","id":"x"}"#);
    }
}
