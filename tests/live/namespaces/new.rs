//! `linux.namespaces`: listed namespaces are new, others are those of the caller (config-linux.md, "Namespaces";
//! namespaces(7)).

use std::process::Command;

use super::{has_time, needs_time, on_host};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, same, skip, skip_allowed};
use crate::rig::{Rig, Runtime};
use crate::{command, sys, tests};

tests![
    "namespaces",
    new_pid,
    new_network,
    new_mount,
    new_ipc,
    new_uts,
    new_user,
    new_user_without_mappings,
    new_cgroup,
    new_time,
    hosts_pid,
    hosts_network,
    hosts_ipc,
    hosts_uts,
    hosts_user,
    hosts_cgroup,
    hosts_time,
    all_are_new_together,
    pid_1_is_the_program,
    loopback_is_up,
    duplicate_type_is_rejected,
    unknown_type_is_rejected,
    user_mappings_by_a_user_with_capabilities,
];

/// The name of each type in config.json, and its file in /proc/PID/ns.
const KINDS: &[(&str, &str)] = &[
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

fn file_of(kind: &str) -> &'static str {
    KINDS.iter().find(|(name, _)| *name == kind).map_or("", |(_, file)| file)
}

/// Adds a new namespace of a type.
fn add_new(rig: &Rig, bundle: &mut Bundle, kind: &str) -> Outcome {
    match kind {
        "time" => {
            needs_time(rig)?;
            if rig.denies("clone3") {
                return skip_allowed("clone(2) cannot create a time namespace");
            }
            bundle.namespace(kind, None);
        }
        "user" => bundle.user_namespace(100_000),
        _ => bundle.namespace(kind, None),
    }
    Ok(())
}

fn is_new(rig: &Rig, kind: &str) -> Outcome {
    let key = format!("ns:{}", file_of(kind));
    let mut bundle = rig.bundle()?;
    add_new(rig, &mut bundle, kind)?;
    let inside = rig.report(&mut bundle, &["ns"])?;
    let host = on_host(rig, &["ns"])?;
    same("the name in the link", inside.get(&key).split(':').next(), Some(file_of(kind)))?;
    different(&key, inside.get(&key), host.get(&key))
}

fn is_the_hosts(rig: &Rig, kind: &str) -> Outcome {
    let key = format!("ns:{}", file_of(kind));
    let mut bundle = rig.bundle()?;
    bundle.without_namespace(kind);
    if kind == "uts" {
        bundle.remove("hostname");
    }
    let inside = rig.report(&mut bundle, &["ns"])?;
    inside.is(&key, on_host(rig, &["ns"])?.get(&key))
}

fn new_pid(rig: &mut Rig) -> Outcome {
    is_new(rig, "pid")
}

fn new_network(rig: &mut Rig) -> Outcome {
    is_new(rig, "network")
}

fn new_mount(rig: &mut Rig) -> Outcome {
    is_new(rig, "mount")
}

fn new_ipc(rig: &mut Rig) -> Outcome {
    is_new(rig, "ipc")
}

fn new_uts(rig: &mut Rig) -> Outcome {
    is_new(rig, "uts")
}

fn new_user(rig: &mut Rig) -> Outcome {
    is_new(rig, "user")
}

/// The caller is root in it; no other user is mapped.
fn new_user_without_mappings(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc rejects it");
    }
    let mut bundle = rig.bundle()?;
    bundle.namespace("user", None);
    let inside =
        rig.report(&mut bundle, &["id", "read", "/proc/self/uid_map", "read", "/proc/self/gid_map"])?;
    inside.is("uid", "0 0 0")?;
    for map in ["uid_map", "gid_map"] {
        let map = inside.get(&format!("read:/proc/self/{map}"));
        same("the map", map.split_ascii_whitespace().collect::<Vec<_>>(), vec!["0", "0", "1"])?;
    }
    Ok(())
}

fn new_cgroup(rig: &mut Rig) -> Outcome {
    is_new(rig, "cgroup")
}

fn new_time(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Mote) && !has_time() {
        let mut bundle = rig.bundle()?;
        bundle.namespace("time", None);
        return rig.rejected(&bundle, &["this kernel has no namespaces of kind time: invalid argument"]);
    }
    is_new(rig, "time")
}

fn hosts_pid(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "pid")
}

fn hosts_network(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "network")
}

fn hosts_ipc(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "ipc")
}

fn hosts_uts(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "uts")
}

fn hosts_user(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "user")
}

fn hosts_cgroup(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "cgroup")
}

fn hosts_time(rig: &mut Rig) -> Outcome {
    is_the_hosts(rig, "time")
}

fn all_are_new_together(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let time = needs_time(rig).is_ok() && !rig.denies("clone3");
    for (kind, _) in KINDS {
        if *kind != "time" || time {
            add_new(rig, &mut bundle, kind)?;
        }
    }
    let inside = rig.report(&mut bundle, &["ns"])?;
    let host = on_host(rig, &["ns"])?;
    for (kind, file) in KINDS {
        if *kind == "time" && !time {
            continue;
        }
        let key = format!("ns:{file}");
        contains(&key, inside.get(&key), file)?;
        different(&key, inside.get(&key), host.get(&key))?;
    }
    Ok(())
}

/// In a new pid namespace, the program is PID 1 and has no parent.
fn pid_1_is_the_program(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["id", "link", "/proc/1/exe", "link", "/proc/self"])?;
    inside.is("pid", "1")?;
    inside.is("ppid", "0")?;
    inside.is("link:/proc/1/exe", "/payload")?;
    inside.is("link:/proc/self", "1")
}

fn loopback_is_up(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["lo", "list", "/sys/class/net"])?;
    inside.is("lo", "up")?;
    inside.is("list:/sys/class/net", "lo")
}

fn duplicate_type_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["ns"]);
    bundle.set("linux.namespaces[5].type", "ipc");
    rig.rejected(&bundle, &["linux.namespaces[5]", "ipc"])
}

fn unknown_type_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["ns"]);
    bundle.set("linux.namespaces[5].type", "moon");
    rig.rejected(&bundle, &["linux.namespaces[5].type", "moon"])
}

/// Mappings of several ids need CAP_SETUID and CAP_SETGID, not user id 0.
fn user_mappings_by_a_user_with_capabilities(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    // On v1, only user id 0 may move processes of other users.
    rig.globals.extend(["--cgroup-manager".to_string(), "disabled".to_string()]);
    bundle.user_namespace(100_000);
    bundle.verbs(&["id", "read", "/proc/self/setgroups"]);
    sys::chown(&rig.dir, 12345, 12345)?;
    let launched = rig.launch("run", &bundle, &[])?;
    let some = "chown dac_override dac_read_search fowner setgid setuid setpcap sys_chroot sys_ptrace sys_admin setfcap";
    let some: Vec<String> = some.split(' ').map(|name| format!("+{name}")).collect();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "12345", "--regid", "12345", "--clear-groups"]);
    command.args(["--inh-caps", &some.join(","), "--ambient-caps", &some.join(",")]);
    command.arg(launched.get_program()).args(launched.get_args()).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    let output = command::run(&mut command, "")?;
    if output.stderr.contains("setpriv: unrecognized option") {
        return skip("the setpriv of busybox changes no user");
    }
    let inside = output.success()?.report();
    inside.is("uid", "0 0 0")?;
    inside.is("read:/proc/self/setgroups", "allow\n")
}
