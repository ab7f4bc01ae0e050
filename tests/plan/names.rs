//! Names for numbers, by field, as in the kernel's headers.

use linux_raw_sys::general as sys;
use mote::internal::config::linux::NamespaceKind;
use mote::internal::config::process::{POLICIES, RLIMITS, SCHEDULER_FLAGS};
use mote::internal::process::caps;

const CLONE: [(&str, u64); 8] = [
    ("CLONE_NEWUSER", sys::CLONE_NEWUSER as u64),
    ("CLONE_NEWNS", sys::CLONE_NEWNS as u64),
    ("CLONE_NEWPID", sys::CLONE_NEWPID as u64),
    ("CLONE_NEWNET", sys::CLONE_NEWNET as u64),
    ("CLONE_NEWIPC", sys::CLONE_NEWIPC as u64),
    ("CLONE_NEWUTS", sys::CLONE_NEWUTS as u64),
    ("CLONE_NEWCGROUP", sys::CLONE_NEWCGROUP as u64),
    ("CLONE_NEWTIME", sys::CLONE_NEWTIME as u64),
];

const KINDS: [(&str, u64); 8] = [
    ("user", 1 << NamespaceKind::User as u32),
    ("mount", 1 << NamespaceKind::Mount as u32),
    ("pid", 1 << NamespaceKind::Pid as u32),
    ("network", 1 << NamespaceKind::Network as u32),
    ("ipc", 1 << NamespaceKind::Ipc as u32),
    ("uts", 1 << NamespaceKind::Uts as u32),
    ("cgroup", 1 << NamespaceKind::Cgroup as u32),
    ("time", 1 << NamespaceKind::Time as u32),
];

const PROPAGATION: [(&str, u64); 5] = [
    ("MS_REC", sys::MS_REC as u64),
    ("MS_SHARED", sys::MS_SHARED as u64),
    ("MS_SLAVE", sys::MS_SLAVE as u64),
    ("MS_PRIVATE", sys::MS_PRIVATE as u64),
    ("MS_UNBINDABLE", sys::MS_UNBINDABLE as u64),
];

/// The mask of the access time flags comes before the flags that are part of it.
const MOUNT_ATTR: [(&str, u64); 9] = [
    ("MOUNT_ATTR_RDONLY", sys::MOUNT_ATTR_RDONLY as u64),
    ("MOUNT_ATTR_NOSUID", sys::MOUNT_ATTR_NOSUID as u64),
    ("MOUNT_ATTR_NODEV", sys::MOUNT_ATTR_NODEV as u64),
    ("MOUNT_ATTR_NOEXEC", sys::MOUNT_ATTR_NOEXEC as u64),
    ("MOUNT_ATTR__ATIME", sys::MOUNT_ATTR__ATIME as u64),
    ("MOUNT_ATTR_NOATIME", sys::MOUNT_ATTR_NOATIME as u64),
    ("MOUNT_ATTR_STRICTATIME", sys::MOUNT_ATTR_STRICTATIME as u64),
    ("MOUNT_ATTR_NODIRATIME", sys::MOUNT_ATTR_NODIRATIME as u64),
    ("MOUNT_ATTR_NOSYMFOLLOW", sys::MOUNT_ATTR_NOSYMFOLLOW as u64),
];

/// `SECCOMP_FILTER_FLAG_*` of include/uapi/linux/seccomp.h.
pub const FILTER_FLAGS: [(&str, u64); 6] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 1),
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
    ("SECCOMP_FILTER_FLAG_NEW_LISTENER", 8),
    ("SECCOMP_FILTER_FLAG_TSYNC_ESRCH", 16),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 32),
];

/// Bits 0 and up, as `DeviceRule` has them.
const ACCESS: [(&str, u64); 3] = [
    ("r", mote::internal::config::device::ACCESS_READ as u64),
    ("w", mote::internal::config::device::ACCESS_WRITE as u64),
    ("m", mote::internal::config::device::ACCESS_MKNOD as u64),
];

const MEMORY_POLICIES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

const MEMORY_POLICY_FLAGS: [(&str, u64); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

const IO_CLASSES: [&str; 4] =
    ["IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The names of the bits of a mask, and the remaining bits as a number.
pub fn bits<'a>(mask: u64, names: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<String> {
    let (mut left, mut list) = (mask, Vec::new());
    for (name, bit) in names {
        if left & bit == bit {
            list.push(name.to_owned());
            left &= !bit;
        }
    }
    if left != 0 {
        list.push(format!("{left:#x}"));
    }
    list
}

/// The names of a mask, if a field of this name is one. `path` ends in the name.
pub fn mask(path: &str, number: u64) -> Option<Vec<String>> {
    let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
    Some(match name {
        "new" => bits(number, CLONE),
        "listed" | "fresh" | "changed" => bits(number, KINDS),
        "propagation" => bits(number, PROPAGATION),
        "set" | "clear" => bits(number, MOUNT_ATTR),
        "bounding" | "present" | "effective" | "inheritable" | "permitted" | "ambient" => {
            capabilities(number)
        }
        "ignored" => bits(number, (0..).zip(SIGNALS).map(|(bit, name)| (name, 1 << bit))),
        "access" => vec![bits(number, ACCESS).concat()],
        "flags" if above.ends_with("memory_policy") => bits(number, MEMORY_POLICY_FLAGS),
        "flags" => bits(number, (0..).zip(SCHEDULER_FLAGS).map(|(bit, name)| (name, 1 << bit))),
        "mode" if above.ends_with("memory_policy") => {
            let flags = bits(number & 0xe000, MEMORY_POLICY_FLAGS);
            [vec![nth(&MEMORY_POLICIES, number & 0x1fff)], flags].concat()
        }
        _ => return None,
    })
}

fn capabilities(mask: u64) -> Vec<String> {
    let known = (1 << caps::NAMES.len()) - 1;
    match mask {
        u64::MAX => vec!["all, with unknown ones".into()],
        _ if mask == known => vec!["all".into()],
        _ => bits(mask, (0..).zip(caps::NAMES).map(|(bit, name)| (name, 1 << bit))),
    }
}

/// The meaning of a number in a field of this name; `None` for a plain number.
pub fn word(name: &str, number: u64) -> Option<String> {
    Some(match name {
        "umask" | "file_mode" => format!("{number:04o}"),
        "kind" => char::from_u32(number as u32).map_or_else(|| number.to_string(), String::from),
        "policy" => nth(&POLICIES, number),
        "resource" => nth(&RLIMITS, number),
        "soft" | "hard" if number == u64::MAX => "unlimited".into(),
        "class" => nth(&IO_CLASSES, number),
        "io" => format!("{} level {}", nth(&IO_CLASSES, number >> 13), number & 0x1fff),
        "personality" => nth(&["PER_LINUX", "", "", "", "", "", "", "", "PER_LINUX32"], number),
        "clock" => nth(&["", "CLOCK_MONOTONIC", "", "", "", "", "", "CLOCK_BOOTTIME"], number),
        _ => return None,
    })
}

fn nth(names: &[&str], number: u64) -> String {
    match names.get(number as usize) {
        Some(name) if !name.is_empty() => (*name).to_owned(),
        _ => format!("unknown {number:#x}"),
    }
}

/// A set of CPUs or memory nodes, as words of 64 bits: `0-3,8`.
pub fn numbers(words: &[u64]) -> String {
    let holds = |bit: &usize| words[bit / 64] >> (bit % 64) & 1 == 1;
    let bits: Vec<usize> = (0..words.len() * 64).filter(holds).collect();
    let runs = bits.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// An argument of a system call in a profile; a mask where it is one.
pub fn argument(call: &str, argument: &str, value: u64) -> String {
    const PERSONALITIES: [(&str, u64); 2] = [("PER_LINUX32", 8), ("UNAME26", 0x2_0000)];
    const NETLINK_AUDIT: u64 = 9;
    let name = match (call, argument, value) {
        ("personality", "arg0", 0) => "PER_LINUX",
        ("personality", "arg0", 0xffff_ffff) => "0xffffffff",
        ("personality", "arg0", _) => return bits(value, PERSONALITIES).join("|"),
        ("clone" | "clone3" | "unshare" | "setns", _, _) if value != 0 => {
            return bits(value, CLONE).join("|");
        }
        ("socket", "arg0", _) if value == u64::from(linux_raw_sys::net::AF_NETLINK) => "AF_NETLINK",
        ("socket", "arg0", _) if value == u64::from(linux_raw_sys::net::AF_VSOCK) => "AF_VSOCK",
        ("socket", "arg2", NETLINK_AUDIT) => "NETLINK_AUDIT",
        ("chmod" | "fchmod" | "fchmodat" | "mkdir" | "mkdirat" | "mknod" | "mknodat", _, _) => {
            return format!("{value:04o}");
        }
        _ => return format!("{value:#x}"),
    };
    name.to_owned()
}

/// `EPERM`, for the numbers that profiles use.
pub fn errno(number: u32) -> String {
    match number {
        1 => "EPERM".into(),
        13 => "EACCES".into(),
        22 => "EINVAL".into(),
        38 => "ENOSYS".into(),
        _ => number.to_string(),
    }
}
