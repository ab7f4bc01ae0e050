//! Memory of processes that wait. `scripts/bench` prints the exact figures.

use std::fs;
use std::process::Stdio;

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, same, skip_allowed};
use crate::rig::{Rig, Runtime};
use crate::sys::trace::{memory, resident_at_end, until_blocked_in};
use crate::{json, sys, tests};

tests![
    "commands",
    memory_of_a_created_container,
    memory_of_a_created_container_with_a_filter,
    memory_that_a_filter_forbids_to_release,
    memory_of_run_that_waits,
    memory_at_the_end_of_run_and_create,
];

/// Fails if a process has more than so many KB in a field of smaps_rollup (proc_pid_smaps(5)).
fn has_at_most(pid: i32, field: &str, most: u64) -> Outcome {
    let found = memory(pid, field)?;
    if found <= most { Ok(()) } else { fail(format_args!("{field} is {found} KB, not {most} or less")) }
}

/// Two pages: the first one of the memfd, in which the code is, and one with the calls. Nothing else is mapped, and no
/// other page of the memfd is left.
fn memory_of_a_created_container(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["exit", "0"]);
    released(rig, &bundle)
}

/// The filter is loaded before the process waits, without no_new_privs, or with it before the program is executed.
fn memory_of_a_created_container_with_a_filter(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    for late in [false, true] {
        let mut bundle = filtered(rig, late, "reboot")?;
        bundle.verbs(&["exit", "0"]);
        released(rig, &bundle)?;
    }
    Ok(())
}

fn memory_that_a_filter_forbids_to_release(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = filtered(rig, false, "munmap")?;
    bundle.verbs(&["exit", "0"]);
    let _created = rig.create(&bundle, &[])?;
    rig.init_waits()?;
    rig.status_is("created")?;
    let exe = fs::metadata(format!("/proc/{}/exe", rig.pid()?))?.len();
    holds(&format!("the memfd has {exe} bytes"), exe > 4096)?;
    rig.delete()
}

/// A bundle with a filter that kills for one system call.
fn filtered(rig: &Rig, late: bool, call: &str) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", late);
    let rule = json!({"names": [call], "action": "SCMP_ACT_KILL_PROCESS"});
    bundle.set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
    Ok(bundle)
}

fn released(rig: &mut Rig, bundle: &Bundle) -> Outcome {
    let mut created = rig.create(bundle, &[])?;
    let pid = rig.pid()?;
    // It answers at the start socket when it has released its memory.
    rig.init_waits()?;
    let page = page_size();
    has_at_most(pid, "Rss", 3 * (page >> 10))?;
    has_at_most(pid, "Pss_Shmem", page >> 10)?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    // Pages of the kernel, on x86-64 and 32-bit ARM.
    let is_kernel = |line: &&str| line.ends_with("[vsyscall]") || line.ends_with("[vectors]");
    let mapped: Vec<_> = maps.lines().filter(|line| !is_kernel(line)).collect();
    same(&format!("mappings: {mapped:?}"), mapped.len(), 2)?;
    same("the memfd", fs::metadata(format!("/proc/{pid}/exe"))?.len(), page)?;
    same("the command line", fs::read_to_string(format!("/proc/{pid}/cmdline"))?.as_str(), "mote init\0")?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.all()?;
    rig.delete()
}

/// Both builds have 48 KB, beside pages of their file: of its code only those around the function that waits, which is in the
/// last segment.
fn memory_of_run_that_waits(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?;
    until_blocked_in(running.pid(), libc::SYS_rt_sigtimedwait)?;
    has_at_most(running.pid(), "Anonymous", if page_size() > 4096 { 256 } else { 80 })?;
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", running.pid()))?;
    let (mut mapping, mut resident) = ("", Vec::new());
    for line in smaps.lines() {
        if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            mapping = line;
        } else if mapping.contains(" r-xp ") && line.starts_with("Rss:") && !line.ends_with(" 0 kB") {
            resident.push(mapping);
        }
    }
    let of_mote: Vec<_> = resident.iter().filter(|mapping| mapping.ends_with("mote")).collect();
    same(&format!("segments of resident code: {of_mote:?}"), of_mote.len(), 1)?;
    rig.delete()
}

/// The parent when it exits, and the container init when it executes the program or waits. The plain build has 288 and
/// 308 KB for `run`, the tiny one 272 and 240, more where the page cache of mote's file has large folios; `scripts/bench`
/// prints the exact figures.
fn memory_at_the_end_of_run_and_create(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["exit", "0"]);
    // Elsewhere the order of functions in the file is not that of scripts/layout.
    let (parent, child) = match std::env::consts::ARCH {
        _ if page_size() > 4096 => (1024, 1024),
        "x86_64" => (512, 400),
        "aarch64" | "riscv64" => (640, 400),
        _ => (1024, 1024),
    };
    for (command, child) in [("run", child), ("create", 3 * (page_size() >> 10))] {
        let mut command = rig.launch(command, &bundle, &[])?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let found = resident_at_end(&mut command)?;
        let bounds = [parent, child];
        holds(
            &format!("{found:?} are {bounds:?} or less"),
            found.iter().zip(bounds).all(|(found, most)| *found <= most),
        )?;
        rig.delete()?;
    }
    Ok(())
}

fn page_size() -> u64 {
    sys::page_size() as u64
}

fn only_mote(rig: &Rig) -> Outcome {
    if rig.is(Runtime::Mote) { Ok(()) } else { skip_allowed("the bounds are mote's") }
}
