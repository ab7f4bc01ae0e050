//! A template of config.json.

use alloc::format;
use alloc::string::String;

use crate::config::version;
use crate::host::{Cgroups, Host};

/// The template: a shell with a terminal, in new namespaces, with a read-only root filesystem.
pub fn template(host: &Host, rootless: bool) -> String {
    let cgroup_namespace =
        if host.cgroups == Cgroups::Unified { ",\n      { \"type\": \"cgroup\" }" } else { "" };
    let (user_namespace, mappings, sys, resources) = match rootless {
        false => (String::new(), String::new(), SYS, RESOURCES),
        true => (",\n      { \"type\": \"user\" }".into(), mappings(host), ROOTLESS_SYS, ""),
    };
    // An unprivileged user can map only its own IDs, so group 5 (tty) does not exist in the container.
    let tty_group = if rootless { "" } else { ", \"gid=5\"" };
    // An unprivileged user cannot connect a network namespace, so a new one would be of no use.
    let network = if rootless { "" } else { "\n      { \"type\": \"network\" }," };
    String::from_utf8_lossy(&TEMPLATE)
        .replace("@VERSION", version::CURRENT)
        .replace("@TTY_GROUP", tty_group)
        .replace("@SYS", sys)
        .replace("@RESOURCES", resources)
        .replace("@MAPPINGS", &mappings)
        .replace("@NETWORK", network)
        .replace("@NAMESPACES", &format!("{user_namespace}{cgroup_namespace}"))
}

fn mappings(host: &Host) -> String {
    let one = |name: &str, id: u32| {
        format!("\n    \"{name}\": [{{ \"containerID\": 0, \"hostID\": {id}, \"size\": 1 }}],")
    };
    one("uidMappings", host.uid) + &one("gidMappings", host.gid)
}

const SYS: &str = r#"{ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
    { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }"#;

/// A bind mount of the host's /sys: mounting sysfs requires ownership of the network namespace.
const ROOTLESS_SYS: &str = r#"{ "destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] }"#;

const RESOURCES: &str = r#"
    "resources": { "devices": [{ "allow": false, "access": "rwm" }] },"#;

// The linker script places this static by name, away from pages that a container start reads (scripts/layout.ld).
static TEMPLATE: [u8; include_bytes!("config.json").len()] = *include_bytes!("config.json");
