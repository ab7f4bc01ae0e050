//! Values of the configuration that are longer than the runtime's own formats can hold, or contain their separators.

use std::fs;

use crate::attack::only_mote;
use crate::check::{Outcome, contains, lacks, same};
use crate::rig::{Rig, Runtime};
use crate::{json, tests};

tests![
    "cve",
    cve_2021_43784_names_beyond_16_bits,
    cve_2021_43784_namespaces_beyond_16_bits,
    cve_2022_0811_two_sysctls_in_one,
    cve_2024_3154_annotations_are_declared_unsafe,
    cve_2025_24965_handler_is_rejected,
];

/// CVE-2021-43784 (runc before 1.0.3): the lengths of netlink attributes have 16 bits, and a longer value was cut off;
/// its rest were attributes that the attacker chose, such as other namespaces. mote uses netlink for network devices: a
/// name has at most 15 bytes, and an attribute that is too long is an error (unit test in `os/netlink/message.rs`, which
/// fails if the length is truncated). No such runc was at hand.
fn cve_2021_43784_names_beyond_16_bits(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    // Of 65536 + 5 + 4 bytes, the lower 16 bits are the length of an attribute `eth0`.
    let long = format!("eth0{}", "x".repeat(65536));
    for (device, name, words) in [
        (long.as_str(), "eth0", &["linux.netDevices.eth0xxx"][..]),
        ("lo", long.as_str(), &["linux.netDevices.lo.name", "not the name of a network interface"]),
        ("lo", "sixteen-letters1", &["linux.netDevices.lo.name", "not the name of a network interface"]),
    ] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["lo"]);
        bundle.set(&format!("linux.netDevices.\"{device}\".name"), name);
        rig.rejected(&bundle, words)?;
    }
    Ok(())
}

/// The values of runc's messages: paths of namespaces, and ID maps. mote encodes none of them: a path is rejected by the
/// kernel, and a map is written to the kernel's file, which rejects what it cannot hold.
fn cve_2021_43784_namespaces_beyond_16_bits(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    let path = format!("/proc/self/ns/net{}", "/".repeat(65536));
    bundle.namespace("network", Some(path.as_ref()));
    rig.rejected(&bundle, &["file name too long"])?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["read", "/proc/self/uid_map"]);
    bundle.user_namespace(100_000);
    let entry = |index: i64| json!({"containerID": index, "hostID": (100_000 + 2 * index), "size": 1i64});
    let map = crate::json::Json::List((0..5000).map(entry).collect());
    bundle.set("linux.uidMappings", map);
    rig.rejected(&bundle, &["uid_map"])
}

/// CVE-2022-0811 (CRI-O, "cr8escape"): the engine passed sysctls to a program of its own, separated by `+`, and a value
/// with `+kernel.core_pattern=` set another one, of the host. The part of the runtime: a value is written to the file of
/// its own name and to no other, and names without a namespace are rejected. Here the value is that of the host, so
/// that a runtime that sets it changes nothing. Succeeds against mote without the list of names in `sysctl.rs`.
fn cve_2022_0811_two_sysctls_in_one(rig: &mut Rig) -> Outcome {
    let host = || fs::read_to_string("/proc/sys/kernel/core_pattern");
    let pattern = host()?;
    let pattern = pattern.trim_end();
    for value in [
        format!("1+kernel.core_pattern={pattern}"),
        format!("1\nkernel.core_pattern={pattern}"),
        format!("1,kernel.core_pattern={pattern}"),
    ] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["read", "/proc/sys/kernel/shm_rmid_forced"]);
        bundle.set("linux.sysctl.\"kernel.shm_rmid_forced\"", value.as_str());
        let output = rig.run(&bundle, &[])?;
        if output.code() == 0 {
            let seen = output.report().get("read:/proc/sys/kernel/shm_rmid_forced").trim().to_string();
            same("the sysctl", seen.as_str(), "1")?;
        } else {
            rig.failure(&output, &["linux.sysctl", "shm_rmid_forced"])?;
        }
    }
    for name in [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "net.ipv4/../../kernel/core_pattern",
        "kernel.shm_rmid_forced/../core_pattern",
    ] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["say", "ran"]);
        bundle.set(&format!("linux.sysctl.\"{name}\""), pattern);
        rig.rejected(&bundle, &["linux.sysctl", name])?;
    }
    same("the host's value", host()?.trim_end(), pattern)
}

/// CVE-2024-3154 (CRI-O): annotations of a pod, which an ordinary user may write, set properties of the systemd unit,
/// such as ExecStart. The annotations are part of the trusted configuration; an engine learns from `features` which it
/// must not take over from users.
fn cve_2024_3154_annotations_are_declared_unsafe(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let text = rig.mote(&["features"])?.success()?.stdout;
    let features = crate::json::Json::parse(&text)?;
    let list = features.at("potentiallyUnsafeConfigAnnotations").items();
    let list: Vec<&str> = list.iter().map(crate::json::Json::text).collect();
    same("the names", list, vec!["org.criu.config", "org.systemd.property.", "run.oci."])
}

/// CVE-2025-24965, CVE-2026-84042 (crun with libkrun): the handler wrote a file by a path of the image on the host, or
/// executed a program of the image as root of the host. mote has no handlers.
fn cve_2025_24965_handler_is_rejected(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return crate::check::skip_allowed("runc ignores the annotation");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    bundle.set("annotations.\"run.oci.handler\"", "krun");
    let output = rig.run(&bundle, &[])?;
    lacks("the output", &output.stdout, "ran")?;
    rig.failure(&output, &["annotations.run.oci.handler"])?;
    contains("the error", &output.stderr, "krun")
}
