//! The attributes of this process and of the calling thread, as the kernel shows them.

use std::collections::BTreeMap;
use std::fs;

use crate::Result;

/// Names, and values to compare.
pub type Snapshot = BTreeMap<String, String>;

/// Lines of /proc/self/status that change by themselves, or by other processes of the user.
const CHANGING: [&str; 15] = [
    "SigQ",
    "VmPeak",
    "VmSize",
    "VmHWM",
    "VmRSS",
    "RssAnon",
    "RssFile",
    "RssShmem",
    "VmData",
    "VmStk",
    "VmPTE",
    "VmLck",
    "VmExe",
    "voluntary_ctxt_switches",
    "nonvoluntary_ctxt_switches",
];

/// Files of /proc/self that are the same as long as nothing changes the process.
const FILES: [&str; 14] = [
    "limits",
    "oom_score_adj",
    "cgroup",
    "personality",
    "timerslack_ns",
    "loginuid",
    "sessionid",
    "coredump_filter",
    "comm",
    "cmdline",
    "attr/current",
    "mountinfo",
    "uid_map",
    "timers",
];

const LINKS: [&str; 11] = [
    "cwd",
    "root",
    "exe",
    "ns/mnt",
    "ns/pid",
    "ns/net",
    "ns/ipc",
    "ns/uts",
    "ns/user",
    "ns/cgroup",
    "ns/time",
];

/// Takes a snapshot.
pub fn take() -> Result<Snapshot> {
    let mut found = Snapshot::new();
    let mut add = |name: &str, value: String| drop(found.insert(name.into(), value));
    for (path, prefix) in [("/proc/self/status", "status"), ("/proc/thread-self/status", "thread")] {
        for line in fs::read_to_string(path)?.lines() {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if !CHANGING.contains(&name) {
                add(&format!("{prefix}.{name}"), value.into());
            }
        }
    }
    for name in FILES {
        add(
            name,
            String::from_utf8_lossy(&fs::read(format!("/proc/self/{name}")).unwrap_or_default()).into_owned(),
        );
    }
    for name in LINKS {
        add(name, fs::read_link(format!("/proc/self/{name}")).unwrap_or_default().display().to_string());
    }
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let target = fs::read_link(&path).unwrap_or_default();
        // That of this directory is closed again.
        if !target.ends_with("fd") {
            let info =
                fs::read_to_string(path.to_string_lossy().replace("/fd/", "/fdinfo/")).unwrap_or_default();
            let flags = info.lines().find(|line| line.starts_with("flags:")).unwrap_or_default();
            add(&path.display().to_string(), format!("{} {flags}", target.display()));
        }
    }
    for (number, name) in [(2, "group"), (3, "session"), (4, "terminal"), (15, "priority"), (16, "nice")] {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap_or(0)..].split(' ').collect();
        add(name, fields.get(number + 1).copied().unwrap_or_default().into());
    }
    add("children", children()?);
    add("maps", maps()?);
    system_calls(&mut add);
    Ok(found)
}

/// The children of all threads.
pub fn children() -> Result<String> {
    let mut all = String::new();
    for entry in fs::read_dir("/proc/self/task")? {
        all += &fs::read_to_string(entry?.path().join("children")).unwrap_or_default();
    }
    Ok(all)
}

/// The mappings of files, with their rights; anonymous memory is the allocator's.
fn maps() -> Result<String> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.contains(" /")).collect::<Vec<_>>().join("\n"))
}

/// What only system calls return.
fn system_calls(add: &mut dyn FnMut(&str, String)) {
    for signal in 1..=64 {
        // SAFETY: the structure is plain data.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the old action is returned.
        unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
        add(&format!("sigaction {signal}"), format!("{:x} {:x}", action.sa_sigaction, action.sa_flags));
    }
    let mut subreaper = 0i32;
    // SAFETY: the place outlives the call.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper) };
    add("subreaper", subreaper.to_string());
    let mut death_signal = 0i32;
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death_signal) };
    add("death signal", death_signal.to_string());
    // SAFETY: takes no pointer.
    add("dumpable", unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }.to_string());
    // SAFETY: takes no pointer. KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING.
    add("session keyring", unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) }.to_string());
    // SAFETY: takes no pointer.
    add("io priority", unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) }.to_string());
    // SAFETY: takes no pointer.
    add("policy", unsafe { libc::sched_getscheduler(0) }.to_string());
}

/// Compares snapshots from before and after a call.
pub fn compare(what: &str, before: &Snapshot, after: &Snapshot) -> Result {
    let names = before.keys().chain(after.keys());
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let all: Vec<String> =
        changed.map(|name| format!("{name}: {:?} -> {:?}", before.get(name), after.get(name))).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(format!("{what} has changed {}", all.join("; ")).into()),
    }
}
