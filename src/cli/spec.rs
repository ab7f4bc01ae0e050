//! `mote spec`: writes a template config.json.

use std::ffi::CString;

use mote::internal::caller::file_mode;
use mote::internal::config::version;
use mote::internal::error::{Error, Kind, On, Result};
use mote::internal::host::{Cgroups, Host};
use rustix::fs::{CWD, OFlags, openat};
use rustix::io::{Errno, write};

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};

/// `spec`
pub static COMMAND: Command = Command {
    name: "spec",
    operands: "",
    count: (0, 0),
    rest: None,
    about: "write a template config.json",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 3] = [
    value("bundle", Some('b'), "DIR", "path to the bundle (default: current directory)"),
    value(
        "file",
        Some('f'),
        "FILE",
        "file to write, replaced if it exists (default: config.json in the bundle)",
    ),
    flag("rootless", None, "write a configuration for an unprivileged user"),
];

fn run(_: &Context, matches: &Matches) -> Result<i32> {
    let bundle = matches.text("bundle")?.unwrap_or(".");
    let file = matches.text("file")?;
    let path = match file {
        Some(file) if file.starts_with('/') => file.to_string(),
        file => format!("{bundle}/{}", file.unwrap_or("config.json")),
    };
    let host = Host::read()?;
    let text = template(&host, matches.has("rootless"));
    let path_c =
        CString::new(path.as_str()).map_err(|_| Error::invalid(format_args!("a path with a NUL byte")))?;
    let how = if file.is_some() { OFlags::TRUNC } else { OFlags::EXCL };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | how;
    let out = match openat(CWD, path_c.as_c_str(), flags, file_mode(0o666)) {
        Err(Errno::EXIST) => return Err(Error::new(Kind::Exists, format_args!("{path} already exists"))),
        out => out.on(format_args!("openat {path}"))?,
    };
    write(&out, text.as_bytes()).on(format_args!("write {path}"))?;
    Ok(0)
}

/// The template: a shell with a terminal, in new namespaces, with a read-only root filesystem.
fn template(host: &Host, rootless: bool) -> String {
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
static TEMPLATE: [u8; include_bytes!("spec/config.json").len()] = *include_bytes!("spec/config.json");
