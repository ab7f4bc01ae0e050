//! Settings of a namespace: `hostname`, `domainname`, `linux.timeOffsets`, `linux.sysctl`.

use std::fs;

use super::{holder, needs_time, on_host};
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "namespaces",
    hostname_is_set,
    hostname_needs_a_new_uts_namespace,
    domainname_is_set,
    domainname_needs_a_new_uts_namespace,
    hostname_too_long_is_rejected,
    clock_offsets_are_set,
    clock_offsets_need_a_new_time_namespace,
    sysctl_of_the_network,
    sysctl_of_ipc,
    sysctl_of_message_queues,
    sysctl_without_namespace_is_rejected,
    sysctl_of_the_network_needs_its_namespace,
    sysctl_of_ipc_needs_its_namespace,
    sysctl_of_the_hosts_network_by_path_is_rejected,
    sysctl_with_dots_is_rejected,
    sysctl_hostname_beside_hostname_is_rejected,
];

fn hostname_is_set(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("hostname", "a-name.example");
    let host = on_host(rig, &["uts"])?;
    rig.report(&mut bundle, &["uts"])?.is("hostname", "a-name.example")?;
    on_host(rig, &["uts"])?.is("hostname", host.get("hostname"))
}

fn hostname_needs_a_new_uts_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["uts"]);
    bundle.without_namespace("uts");
    rig.rejected(&bundle, &["hostname"])
}

/// The NIS domain name, as domainname(1) and getdomainname(2) have it.
fn domainname_is_set(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc has no domainname");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("domainname", "nis.example");
    let inside = rig.report(&mut bundle, &["uts", "read", "/proc/sys/kernel/domainname"])?;
    inside.is("domainname", "nis.example")?;
    inside.is("read:/proc/sys/kernel/domainname", "nis.example\n")
}

fn domainname_needs_a_new_uts_namespace(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc has no domainname");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["uts"]);
    bundle.without_namespace("uts");
    bundle.remove("hostname");
    bundle.set("domainname", "nis.example");
    rig.rejected(&bundle, &["domainname"])
}

/// The limit of the kernel is 64 bytes.
fn hostname_too_long_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["uts"]);
    bundle.set("hostname", "a".repeat(65));
    rig.rejected(&bundle, &["hostname"])
}

fn clock_offsets_are_set(rig: &mut Rig) -> Outcome {
    needs_time(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.namespace("time", None);
    bundle.set("linux.timeOffsets.boottime.secs", 1_000_000i64);
    bundle.set("linux.timeOffsets.monotonic.secs", 2_000_000i64);
    bundle.set("linux.timeOffsets.monotonic.nanosecs", 500_000_000i64);
    let before = on_host(rig, &["clock"])?;
    let inside = rig.report(&mut bundle, &["clock"])?;
    for (key, offset) in [("clock:boottime", 1_000_000), ("clock:monotonic", 2_000_000)] {
        let host: i64 = before.get(key).parse()?;
        let seen: i64 = inside.get(key).parse()?;
        let late = seen - host - offset;
        holds(&format!("{key} {seen} is {offset} after the host's {host}"), (0..30).contains(&late))?;
    }
    Ok(())
}

fn clock_offsets_need_a_new_time_namespace(rig: &mut Rig) -> Outcome {
    needs_time(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["clock"]);
    bundle.set("linux.timeOffsets.boottime.secs", 1_000_000i64);
    rig.rejected(&bundle, &["linux.timeOffsets"])
}

/// Sets a sysctl and reads it in the container; the value on the host is another one and does not change.
fn sysctl(rig: &Rig, name: &str, value: &str) -> Outcome {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let before = fs::read_to_string(&path)?;
    crate::check::different("the host's value", before.trim(), value)?;
    let mut bundle = rig.bundle()?;
    bundle.set(&format!("linux.sysctl.\"{name}\""), value);
    let inside = rig.report(&mut bundle, &["read", &path])?;
    same(name, inside.get(&format!("read:{path}")).trim(), value)?;
    same("the host's value", fs::read_to_string(&path)?, before)
}

fn sysctl_of_the_network(rig: &mut Rig) -> Outcome {
    sysctl(rig, "net.ipv4.ip_default_ttl", "33")
}

fn sysctl_of_ipc(rig: &mut Rig) -> Outcome {
    sysctl(rig, "kernel.shmmni", "1234")
}

fn sysctl_of_message_queues(rig: &mut Rig) -> Outcome {
    sysctl(rig, "fs.mqueue.queues_max", "77")
}

fn sysctl_is_rejected(rig: &Rig, without: &str, name: &str, value: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["uts"]);
    bundle.without_namespace(without);
    bundle.set(&format!("linux.sysctl.\"{name}\""), value);
    rig.rejected(&bundle, &["linux.sysctl", name])
}

/// The value is that of the host, so that a runtime that sets it changes nothing.
fn sysctl_without_namespace_is_rejected(rig: &mut Rig) -> Outcome {
    let value = fs::read_to_string("/proc/sys/kernel/printk_ratelimit")?;
    sysctl_is_rejected(rig, "none", "kernel.printk_ratelimit", value.trim())
}

fn sysctl_of_the_network_needs_its_namespace(rig: &mut Rig) -> Outcome {
    let value = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")?;
    sysctl_is_rejected(rig, "network", "net.ipv4.ip_default_ttl", value.trim())
}

fn sysctl_of_ipc_needs_its_namespace(rig: &mut Rig) -> Outcome {
    let value = fs::read_to_string("/proc/sys/kernel/shmmni")?;
    sysctl_is_rejected(rig, "ipc", "kernel.shmmni", value.trim())
}

/// The path of the host's namespace: the sysctl would be that of the host.
fn sysctl_of_the_hosts_network_by_path_is_rejected(rig: &mut Rig) -> Outcome {
    let (holder, _) = holder(rig, &[])?;
    let value = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["uts"]);
    let path = format!("/proc/{}/ns/net", holder.pid());
    bundle.namespace("network", Some(path.as_ref()));
    bundle.set("linux.sysctl.\"net.ipv4.ip_default_ttl\"", value.trim());
    rig.rejected(&bundle, &["sysctl", "host"])
}

fn sysctl_with_dots_is_rejected(rig: &mut Rig) -> Outcome {
    let value = fs::read_to_string("/proc/sys/kernel/printk_ratelimit")?;
    sysctl_is_rejected(rig, "none", "net/../kernel/printk_ratelimit", value.trim())
}

fn sysctl_hostname_beside_hostname_is_rejected(rig: &mut Rig) -> Outcome {
    sysctl_is_rejected(rig, "none", "kernel.hostname", "another")
}
