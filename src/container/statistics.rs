//! What `events` tells, as lines of JSON: the members are runc's, in runc's order, and left out where runc leaves them
//! out. Written by hand for that reason, and so that each line is made in the same memory as the one before.

use alloc::string::String;
use core::fmt::{Display, Write};

use crate::cgroup::stat::{Amount, Files};

/// The line that tells of a process killed for want of memory.
pub fn oom(line: &mut String, id: &str) {
    begin(line, "oom", id);
    *line += "}\n";
}

/// The line with all numbers.
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
        json.number("failcnt", amount.failures);
        json.close();
    });
    json.close();
    // Mote makes no resctrl groups and no interfaces: this is how runc says so.
    *line += ",\"intel_rdt\":{},\"network_interfaces\":null}}\n";
}

/// An id has nothing in it that would have to be escaped.
fn begin(line: &mut String, kind: &str, id: &str) {
    line.clear();
    let _ = write!(line, "{{\"type\":\"{kind}\",\"id\":\"{id}\"");
}

fn cpu(json: &mut Json<'_>, files: &mut Files) {
    let cpu = files.cpu();
    json.open("cpu");
    json.open("usage");
    json.some("total", cpu.total);
    json.list("percpu", |each| files.cpu_each(each));
    json.list("percpu_kernel", |each| files.cpu_each_in(true, each));
    json.list("percpu_user", |each| files.cpu_each_in(false, each));
    json.number("kernel", cpu.kernel);
    json.number("user", cpu.user);
    json.close();
    json.open("throttling");
    json.some("periods", cpu.periods);
    json.some("throttledPeriods", cpu.throttled_periods);
    json.some("throttledTime", cpu.throttled);
    json.close();
    pressure(json, files, "cpu");
    json.close();
}

/// What the kernel's file is called too; a list is one of them, and left out where it is empty.
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
            "cpus" | "mems" => json.list(name, |each| files.cpuset_list(name, each)),
            _ => json.number(name, files.cpuset(name)),
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
        files.memory_all(&mut |name, value| json.number(name, value));
    });
    pressure(json, files, "memory");
    json.close();
}

/// Runc's names and the kernel's.
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
            // They are JSON's numbers too.
            values.for_each(|(name, value)| json.number(name, value));
            json.close();
        }
    });
}

/// JSON in the making. Names are mote's own and the kernel's, and need not be escaped.
struct Json<'a>(&'a mut String);

/// Takes the numbers of a list.
type Each<'e> = &'e mut dyn FnMut(u64);

impl Json<'_> {
    /// What comes next, after a comma where something was before.
    fn item(&mut self, next: &dyn Display) {
        let comma = if self.0.ends_with('{') || self.0.ends_with('[') { "" } else { "," };
        // A string takes everything.
        let _ = write!(self.0, "{comma}{next}");
    }

    fn number(&mut self, name: &str, number: impl Display) {
        self.item(&format_args!("\"{name}\":{number}"));
    }

    /// A number that is left out when it is 0.
    fn some(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.number(name, number);
        }
    }

    fn open(&mut self, name: &str) {
        self.number(name, "{");
    }

    fn close(&mut self) {
        self.0.push('}');
    }

    /// Something in brackets that is left out when it is empty.
    fn group(&mut self, name: &str, [opening, closing]: [&str; 2], fill: &mut dyn FnMut(&mut Self)) {
        let before = self.0.len();
        self.number(name, opening);
        fill(self);
        match self.0.ends_with(opening) {
            true => self.0.truncate(before),
            false => *self.0 += closing,
        }
    }

    fn list(&mut self, name: &str, mut fill: impl FnMut(Each<'_>)) {
        self.group(name, ["[", "]"], &mut |json| fill(&mut |number| json.item(&number)));
    }

    fn amount(&mut self, name: &str, amount: &Amount) {
        self.open(name);
        self.number("limit", amount.limit);
        self.some("usage", amount.usage);
        self.some("max", amount.max);
        self.number("failcnt", amount.failures);
        self.close();
    }
}
