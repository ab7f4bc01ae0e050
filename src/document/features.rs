//! The supported features as JSON (features.md, features-linux.md), from the tables that the parsers use.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use miniserde::{Serialize, json};

use super::pretty::pretty;
use crate::config::linux::{self, NAMESPACES};
use crate::config::resources::SMALLEST_MEMORY;
use crate::config::{seccomp, version};
use crate::container::criu;
use crate::hooks;
use crate::process::caps;
use crate::rootfs::option_table::OPTIONS;
use crate::seccomp::{FLAGS, is_flag_supported};

#[derive(Serialize)]
struct Features {
    #[serde(rename = "ociVersionMin")]
    oci_version_min: &'static str,
    #[serde(rename = "ociVersionMax")]
    oci_version_max: &'static str,
    hooks: Vec<&'static str>,
    #[serde(rename = "mountOptions")]
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "potentiallyUnsafeConfigAnnotations")]
    unsafe_annotations: Vec<&'static str>,
}

#[derive(Serialize)]
struct Linux {
    namespaces: Vec<&'static str>,
    capabilities: Vec<&'static str>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    #[serde(rename = "mountExtensions")]
    mount_extensions: MountExtensions,
    #[serde(rename = "intelRdt")]
    intel_rdt: IntelRdt,
    #[serde(rename = "memoryPolicy")]
    memory_policy: MemoryPolicy,
    #[serde(rename = "netDevices")]
    net_devices: Enabled,
}

#[derive(Serialize)]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    #[serde(rename = "systemdUser")]
    systemd_user: bool,
    rdma: bool,
}

/// features-linux.md, "Seccomp": what profiles may contain, and the filter flags that the running kernel supports.
#[derive(Serialize)]
struct Seccomp {
    enabled: bool,
    actions: Vec<&'static str>,
    operators: Vec<&'static str>,
    archs: Vec<&'static str>,
    #[serde(rename = "knownFlags")]
    known_flags: Vec<&'static str>,
    #[serde(rename = "supportedFlags")]
    supported_flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

/// features-linux.md, "Intel RDT".
#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

/// features-linux.md, "Memory policy".
#[derive(Serialize)]
struct MemoryPolicy {
    modes: Vec<&'static str>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

/// The features, as an object in JSON. `criu` is looked up in the directories of `search_path`.
pub fn features(search_path: &CStr) -> String {
    let features = Features {
        oci_version_min: version::OLDEST,
        oci_version_max: version::CURRENT,
        hooks: hooks::POINTS.iter().map(|(name, _)| *name).collect(),
        mount_options: OPTIONS.iter().map(|(name, _)| *name).collect(),
        linux: Linux {
            namespaces: NAMESPACES.iter().map(|(name, _)| *name).collect(),
            capabilities: caps::NAMES.to_vec(),
            cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
            seccomp: Seccomp {
                enabled: true,
                actions: seccomp::ACTIONS.to_vec(),
                operators: seccomp::OPERATORS.to_vec(),
                archs: seccomp::ARCHITECTURES.to_vec(),
                known_flags: seccomp::FLAGS.to_vec(),
                supported_flags: supported_flags(),
            },
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
            intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
            memory_policy: MemoryPolicy {
                modes: linux::MEMORY_POLICIES.iter().map(|(name, _)| *name).collect(),
                flags: linux::MEMORY_POLICY_FLAGS.iter().map(|(name, _)| *name).collect(),
            },
            net_devices: Enabled { enabled: true },
        },
        annotations: annotations(search_path),
        unsafe_annotations: vec!["org.criu.config", "org.systemd.property.", "run.oci."],
    };
    pretty(&json::to_string(&features))
}

fn annotations(search_path: &CStr) -> BTreeMap<&'static str, String> {
    let can_checkpoint = criu::is_available(search_path).to_string();
    [
        ("io.github.mote.version", env!("CARGO_PKG_VERSION").to_string()),
        ("io.github.mote.memory.limit.minimum", SMALLEST_MEMORY.to_string()),
        // Engines look for the names of runc and crun.
        ("org.opencontainers.runc.checkpoint.enabled", can_checkpoint.clone()),
        ("run.oci.crun.checkpoint.enabled", can_checkpoint),
    ]
    .into()
}

/// The seccomp flags that the running kernel supports.
fn supported_flags() -> Vec<&'static str> {
    let takes = |name: &&str| FLAGS.iter().any(|(known, flag)| known == name && is_flag_supported(*flag));
    seccomp::FLAGS.iter().copied().filter(takes).collect()
}
