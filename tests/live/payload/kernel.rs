//! Payload verbs for attributes of this process in the kernel: namespaces, capabilities, limits, cgroups.

use super::{print, print_result};
use std::fs;

use crate::sys;

pub const NAMESPACES: &[&str] = &["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"];

const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const LIMITS: &[&str] = &[
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// The inode number of each namespace of this process.
pub fn namespaces(_: &[&str]) {
    for name in NAMESPACES {
        let target = fs::read_link(format!("/proc/self/ns/{name}"));
        print_result(&format!("ns:{name}"), target.map(|target| target.display().to_string()));
    }
}

fn named(bits: u64) -> String {
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| bits >> number & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    names.join(" ")
}

/// The five capability sets, read without /proc.
pub fn caps(_: &[&str]) {
    let [effective, permitted, inheritable] = sys::capabilities();
    let set_of = |yes: &dyn Fn(libc::c_ulong) -> bool| {
        (0..CAPABILITIES.len() as libc::c_ulong)
            .filter(|number| yes(*number))
            .fold(0, |bits, number| bits | 1 << number)
    };
    let bounding = set_of(&|number| sys::prctl(libc::PR_CAPBSET_READ, number) == 1);
    let ambient = set_of(&|number| sys::ambient(number));
    print("cap:effective", named(effective));
    print("cap:permitted", named(permitted));
    print("cap:inheritable", named(inheritable));
    print("cap:bounding", named(bounding));
    print("cap:ambient", named(ambient));
}

/// The result of a system call with invalid arguments.
pub fn call(words: &[&str]) {
    let name = words.concat();
    let Some(call) = sys::deny::call_named(&name) else { return print(&format!("call:{name}"), "?") };
    print_result(&format!("call:{name}"), sys::deny::invalid_call(call.number));
}

/// The result of a system call with these arguments: `NAME ARGUMENT...` or `NUMBER ARGUMENT...`.
pub fn syscall(words: &[&str]) {
    let words = words.concat();
    let mut parts = words.split(' ');
    let number = match parts.next() {
        Some("acct") => libc::SYS_acct,
        Some("munlockall") => libc::SYS_munlockall,
        Some("getegid") => libc::SYS_getegid,
        other => other.and_then(|number| number.parse().ok()).unwrap_or(-1),
    };
    let mut arguments = [0; 6];
    for (place, part) in arguments.iter_mut().zip(parts) {
        *place = part.parse::<i64>().unwrap_or(0) as libc::c_ulong;
    }
    print_result(&format!("syscall:{words}"), sys::seccomp::call(number, arguments));
}

pub fn no_new_privileges(_: &[&str]) {
    print("nnp", sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0));
}

/// `soft hard` of each resource limit; -1 is no limit.
pub fn limits(_: &[&str]) {
    for (number, name) in LIMITS.iter().enumerate() {
        let limit = sys::limit(number as u32)
            .map(|(soft, hard)| format!("{} {}", soft.cast_signed(), hard.cast_signed()));
        print_result(&format!("limit:{name}"), limit);
    }
}

/// Policy, nice value, I/O priority, and personality.
pub fn schedule(_: &[&str]) {
    let [policy, nice, io] = sys::schedule::current();
    // personality(2) hides PER_LINUX32 on IBM Z and POWER.
    let personality = fs::read_to_string("/proc/self/personality").unwrap_or_default();
    // ADDR_LIMIT_32BIT, which a kernel of 32-bit ARM always sets.
    let personality = u32::from_str_radix(personality.trim_end(), 16).unwrap_or_default() & !0x80_0000;
    print("schedule", format!("{policy} {nice} {io:#x} {personality:#x}"));
}

/// The CPU affinity, in the kernel's list format.
pub fn cpus(_: &[&str]) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    print("cpus", list.unwrap_or("?").trim());
}

/// The memory policy of the first mapping: numa(7).
pub fn nodes(_: &[&str]) {
    let maps = fs::read_to_string("/proc/self/numa_maps");
    print_result("nodes", maps.map(|maps| maps.split(' ').nth(1).unwrap_or("?").to_string()));
}

pub fn oom(_: &[&str]) {
    let score = fs::read_to_string("/proc/self/oom_score_adj");
    print_result("oom", score.map(|score| score.trim().to_string()));
}

pub fn names(_: &[&str]) {
    let [host, domain, machine] = sys::uname();
    print("hostname", host);
    print("domainname", domain);
    print("machine", machine);
}

/// Every mount by its mount point: the line of mountinfo.
pub fn mounts(_: &[&str]) {
    match fs::read_to_string("/proc/self/mountinfo") {
        Ok(table) => {
            for line in table.lines() {
                let place = line.split(' ').nth(4).unwrap_or("");
                print(&format!("mount:{place}"), line);
            }
        }
        Err(error) => print_result("mounts", Err::<&str, _>(error)),
    }
}

/// `cgroup:CONTROLLERS=path`, without controllers for the v2 hierarchy.
pub fn cgroup(_: &[&str]) {
    match fs::read_to_string("/proc/self/cgroup") {
        Ok(table) => {
            for line in table.lines() {
                let mut parts = line.splitn(3, ':').skip(1);
                let controllers = parts.next().unwrap_or("");
                print(&format!("cgroup:{controllers}"), parts.next().unwrap_or(""));
            }
        }
        Err(error) => print_result("cgroup", Err::<&str, _>(error)),
    }
}

pub fn clock(_: &[&str]) {
    print("clock:boottime", sys::clock(libc::CLOCK_BOOTTIME));
    print("clock:monotonic", sys::clock(libc::CLOCK_MONOTONIC));
}

/// Whether the loopback interface is up.
/// Brings up the loopback interface.
pub fn raise_loopback(_: &[&str]) {
    print_result("raise_lo", sys::interface::set_up("lo").map(|()| "ok"));
}

pub fn loopback(_: &[&str]) {
    let up = sys::interface::flags("lo").map(|flags| i32::from(flags) & libc::IFF_UP != 0);
    print_result("lo", up.map(|up| if up { "up" } else { "down" }));
}
