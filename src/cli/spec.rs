//! `mote spec`: writes a config.json to begin with.

use std::ffi::CString;

use mote::caller::file_mode;
use mote::config::version;
use mote::error::{Error, Kind, On, Result};
use mote::host::{Cgroups, Host};
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
    about: "write a configuration to begin with",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 3] = [
    value("bundle", Some('b'), "DIR", "the directory to write to (the working directory)"),
    value("file", Some('f'), "FILE", "another name than config.json; an existing file is overwritten"),
    flag("rootless", None, "for a container of an ordinary user"),
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

/// A shell with a terminal, in namespaces of its own, with a read-only root.
fn template(host: &Host, rootless: bool) -> String {
    let cgroup_namespace =
        if host.cgroups == Cgroups::Unified { ",\n      { \"type\": \"cgroup\" }" } else { "" };
    let (user_namespace, mappings, sys, resources) = match rootless {
        false => (String::new(), String::new(), SYS, RESOURCES),
        true => (",\n      { \"type\": \"user\" }".into(), mappings(host), ROOTLESS_SYS, ""),
    };
    // Ids other than its own are not an ordinary user's to give: no group 5 for terminals.
    let tty_group = if rootless { "" } else { ", \"gid=5\"" };
    // A network namespace would be of no use: nobody could connect it.
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

/// sysfs can be mounted only by who owns the network namespace.
const ROOTLESS_SYS: &str = r#"{ "destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] }"#;

const RESOURCES: &str = r#"
    "resources": { "devices": [{ "allow": false, "access": "rwm" }] },"#;

// By its name it is put where a usual start does not read (scripts/layout.ld).
static TEMPLATE: [u8; include_bytes!("spec/config.json").len()] = *include_bytes!("spec/config.json");
