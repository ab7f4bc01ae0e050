//! `linux` (config-linux.md): namespaces, mappings, devices, paths and the smaller sections.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::process::{non_empty, word};
use super::resources::Resources;
use super::seccomp::Seccomp;
use crate::error::Result;
use crate::json::Decoder;
use crate::{elements, entries, members};

/// The highest user or group id; 4294967295 is the kernel's "no change".
pub const MAX_ID: u32 = u32::MAX - 1;

/// The Linux part of a configuration.
#[derive(Debug, Default)]
pub struct Linux<'a> {
    pub namespaces: Vec<Namespace<'a>>,
    pub uid_mappings: Vec<IdMapping>,
    pub gid_mappings: Vec<IdMapping>,
    pub time_offsets: Vec<TimeOffset>,
    pub devices: Vec<Device<'a>>,
    /// (name on the host, name inside)
    pub net_devices: Vec<(&'a CStr, Option<&'a CStr>)>,
    pub cgroups_path: Option<&'a CStr>,
    pub resources: Resources<'a>,
    pub intel_rdt: Option<IntelRdt<'a>>,
    pub memory_policy: Option<MemoryPolicy<'a>>,
    /// Sorted by key.
    pub sysctl: Vec<(&'a CStr, &'a CStr)>,
    pub seccomp: Option<Seccomp<'a>>,
    pub rootfs_propagation: Option<&'a str>,
    pub masked_paths: Vec<&'a CStr>,
    pub readonly_paths: Vec<&'a CStr>,
    pub mount_label: Option<&'a CStr>,
    pub personality: Option<Personality<'a>>,
}

/// The kinds of namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NamespaceKind {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

/// The specification's words for them; `features` lists them in this order.
pub static NAMESPACES: [(&str, NamespaceKind); 8] = [
    ("cgroup", NamespaceKind::Cgroup),
    ("ipc", NamespaceKind::Ipc),
    ("mount", NamespaceKind::Mount),
    ("network", NamespaceKind::Network),
    ("pid", NamespaceKind::Pid),
    ("time", NamespaceKind::Time),
    ("user", NamespaceKind::User),
    ("uts", NamespaceKind::Uts),
];

/// One of `namespaces`: new, or the one at a path.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    pub kind: NamespaceKind,
    pub path: Option<&'a CStr>,
}

/// One of `uidMappings` or `gidMappings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdMapping {
    pub container_id: u32,
    pub host_id: u32,
    pub size: u32,
}

/// One of `timeOffsets`: clock's number in clock_gettime(2), seconds and nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct TimeOffset {
    pub clock: u8,
    pub secs: i64,
    pub nanosecs: u32,
}

/// The clocks that a time namespace shifts (time_namespaces(7)).
static CLOCKS: [(&str, u8); 2] = [("monotonic", 1), ("boottime", 7)];

/// One of `devices`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    pub path: &'a CStr,
    pub kind: DeviceKind,
    pub major: u32,
    pub minor: u32,
    /// Permission bits.
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// `c` and `u` are the same to Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    #[default]
    Char,
    Block,
    Fifo,
}

/// `intelRdt`: resctrl.
#[derive(Debug, Default)]
pub struct IntelRdt<'a> {
    pub clos_id: Option<&'a CStr>,
    pub l3_cache_schema: Option<&'a CStr>,
    pub mem_bw_schema: Option<&'a CStr>,
    pub schemata: Vec<&'a CStr>,
    pub enable_monitoring: bool,
}

/// `memoryPolicy`: set_mempolicy(2).
#[derive(Debug, Default)]
pub struct MemoryPolicy<'a> {
    pub mode: &'a str,
    pub nodes: Option<&'a str>,
    pub flags: Vec<&'a str>,
}

/// `personality`: personality(2).
#[derive(Debug, Default)]
pub struct Personality<'a> {
    pub domain: &'a str,
    pub flags: Vec<&'a str>,
}

impl<'a> Linux<'a> {
    pub(super) fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut linux = Linux::default();
        members!(d, {
            "namespaces" => linux.namespaces = namespaces(d)?,
            "uidMappings" => linux.uid_mappings = id_mappings(d)?,
            "gidMappings" => linux.gid_mappings = id_mappings(d)?,
            "timeOffsets" => linux.time_offsets = time_offsets(d)?,
            "devices" => linux.devices = elements!(d, Device::read(d)?),
            "netDevices" => linux.net_devices = entries!(d, name, net_device(d)?),
            "cgroupsPath" => linux.cgroups_path = non_empty(d)?,
            "resources" => linux.resources = Resources::read(d)?,
            "intelRdt" => linux.intel_rdt = Some(IntelRdt::read(d)?),
            "memoryPolicy" => linux.memory_policy = Some(MemoryPolicy::read(d)?),
            "sysctl" => linux.sysctl = entries!(d, key, d.cstr()?),
            "seccomp" => linux.seccomp = Some(Seccomp::read(d)?),
            "rootfsPropagation" => linux.rootfs_propagation = propagation(d)?,
            "maskedPaths" => linux.masked_paths = elements!(d, absolute(d)?),
            "readonlyPaths" => linux.readonly_paths = elements!(d, absolute(d)?),
            "mountLabel" => linux.mount_label = non_empty(d)?,
            "personality" => linux.personality = Some(Personality::read(d)?),
        });
        Ok(linux)
    }
}

fn absolute<'a>(d: &mut Decoder<'a>) -> Result<&'a CStr> {
    let path = d.cstr()?;
    match path.to_bytes().starts_with(b"/") {
        true => Ok(path),
        false => Err(d.fail(format_args!("must be an absolute path"))),
    }
}

fn propagation<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a str>> {
    // Engines also write the recursive words, and "" for none.
    const WORDS: [&str; 9] =
        ["", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];
    Ok(Some(word(d, "propagation", &WORDS)?).filter(|text| !text.is_empty()))
}

fn namespaces<'a>(d: &mut Decoder<'a>) -> Result<Vec<Namespace<'a>>> {
    let mut given = 0u32;
    Ok(elements!(d, {
        let namespace = Namespace::read(d)?;
        if given & (1 << namespace.kind as u32) != 0 {
            return Err(d.fail(format_args!("a second {} namespace", namespace.kind.name())));
        }
        given |= 1 << namespace.kind as u32;
        namespace
    }))
}

impl NamespaceKind {
    /// The specification's word.
    pub fn name(self) -> &'static str {
        NAMESPACES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl<'a> Namespace<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let (mut kind, mut path) = (None, None);
        members!(d, {
            "type" => kind = Some(d.keyword("namespace", &NAMESPACES)?),
            "path" => path = namespace_path(d)?,
        });
        match kind {
            Some(kind) => Ok(Namespace { kind, path }),
            None => Err(d.fail(format_args!("type is missing"))),
        }
    }
}

fn namespace_path<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a CStr>> {
    match non_empty(d)? {
        Some(path) if !path.to_bytes().starts_with(b"/") => {
            Err(d.fail(format_args!("must be an absolute path")))
        }
        path => Ok(path),
    }
}

/// A list of id mappings; each range must be of ids, and not empty.
pub(super) fn id_mappings(d: &mut Decoder<'_>) -> Result<Vec<IdMapping>> {
    Ok(elements!(d, {
        let (mut container_id, mut host_id, mut size) = (None, None, None);
        members!(d, {
            "containerID" => container_id = Some(d.integer::<u32>()?),
            "hostID" => host_id = Some(d.integer::<u32>()?),
            "size" => size = Some(d.integer::<u32>()?),
        });
        let (Some(container_id), Some(host_id), Some(size)) = (container_id, host_id, size) else {
            return Err(d.fail(format_args!("needs containerID, hostID and size")));
        };
        let fits = |start: u32| start.checked_add(size).is_some();
        if size == 0 || !fits(container_id) || !fits(host_id) {
            return Err(d.fail(format_args!("not a range of ids: {container_id} {host_id} {size}")));
        }
        IdMapping { container_id, host_id, size }
    }))
}

fn time_offsets(d: &mut Decoder<'_>) -> Result<Vec<TimeOffset>> {
    let mut list = Vec::new();
    let mut members = d.object()?;
    while let Some(name) = d.entry(&mut members)? {
        let known = CLOCKS.iter().find(|(clock, _)| clock.as_bytes() == name.to_bytes());
        let Some((_, clock)) = known else { return Err(d.fail(format_args!("unknown clock"))) };
        let mut offset = TimeOffset { clock: *clock, secs: 0, nanosecs: 0 };
        members!(d, {
            "secs" => offset.secs = d.integer()?,
            "nanosecs" => offset.nanosecs = nanosecs(d)?,
        });
        if list.iter().any(|earlier: &TimeOffset| earlier.clock == offset.clock) {
            return Err(d.fail(format_args!("given twice")));
        }
        list.push(offset);
        d.leave();
    }
    Ok(list)
}

fn nanosecs(d: &mut Decoder<'_>) -> Result<u32> {
    match d.integer()? {
        value if value > 999_999_999 => Err(d.fail(format_args!("{value} is a second or more"))),
        value => Ok(value),
    }
}

fn net_device<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a CStr>> {
    let mut name = None;
    members!(d, { "name" => name = non_empty(d)? });
    Ok(name)
}

impl<'a> Device<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        const KINDS: [(&str, DeviceKind); 4] = [
            ("c", DeviceKind::Char),
            ("u", DeviceKind::Char),
            ("b", DeviceKind::Block),
            ("p", DeviceKind::Fifo),
        ];
        let mut device = Device::default();
        let (mut kind, mut major, mut minor) = (None, None, None);
        members!(d, {
            "path" => device.path = absolute(d)?,
            "type" => kind = Some(d.keyword("device type", &KINDS)?),
            "major" => major = Some(device_number(d)?),
            "minor" => minor = Some(device_number(d)?),
            "fileMode" => device.file_mode = Some(file_mode(d)?),
            "uid" => device.uid = Some(d.integer()?),
            "gid" => device.gid = Some(d.integer()?),
        });
        device.kind = kind.ok_or_else(|| d.fail(format_args!("type is missing")))?;
        if device.path.is_empty() {
            return Err(d.fail(format_args!("path is missing")));
        }
        if device.kind != DeviceKind::Fifo {
            let (Some(major), Some(minor)) = (major, minor) else {
                return Err(d.fail(format_args!("needs major and minor")));
            };
            (device.major, device.minor) = (major, minor);
        }
        Ok(device)
    }
}

/// A 12-bit major or 20-bit minor number (include/linux/kdev_t.h); both are int64 in the specification.
fn device_number(d: &mut Decoder<'_>) -> Result<u32> {
    match d.integer()? {
        value if value >= 1 << 20 => Err(d.fail(format_args!("{value} is not a device number"))),
        value => Ok(value),
    }
}

/// Engines write the whole st_mode: the type bits are in `type` already.
fn file_mode(d: &mut Decoder<'_>) -> Result<u32> {
    match d.integer::<u32>()? {
        mode if mode > 0o177777 => Err(d.fail(format_args!("{mode} is not a file mode"))),
        mode => Ok(mode & 0o7777),
    }
}

impl<'a> IntelRdt<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut rdt = IntelRdt::default();
        members!(d, {
            "closID" => rdt.clos_id = non_empty(d)?,
            "l3CacheSchema" => rdt.l3_cache_schema = Some(line(d)?),
            "memBwSchema" => rdt.mem_bw_schema = Some(line(d)?),
            "schemata" => rdt.schemata = elements!(d, line(d)?),
            "enableMonitoring" => rdt.enable_monitoring = d.boolean()?,
        });
        Ok(rdt)
    }
}

fn line<'a>(d: &mut Decoder<'a>) -> Result<&'a CStr> {
    let text = d.cstr()?;
    match text.to_bytes().contains(&b'\n') {
        true => Err(d.fail(format_args!("must be one line"))),
        false => Ok(text),
    }
}

impl<'a> MemoryPolicy<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        const MODES: [&str; 7] = [
            "MPOL_DEFAULT",
            "MPOL_BIND",
            "MPOL_INTERLEAVE",
            "MPOL_WEIGHTED_INTERLEAVE",
            "MPOL_PREFERRED",
            "MPOL_PREFERRED_MANY",
            "MPOL_LOCAL",
        ];
        const FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];
        let mut policy = MemoryPolicy::default();
        members!(d, {
            "mode" => policy.mode = word(d, "mode", &MODES)?,
            "nodes" => policy.nodes = Some(d.string()?),
            "flags" => policy.flags = elements!(d, word(d, "flag", &FLAGS)?),
        });
        match policy.mode {
            "" => Err(d.fail(format_args!("mode is missing"))),
            _ => Ok(policy),
        }
    }
}

impl<'a> Personality<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut personality = Personality::default();
        members!(d, {
            "domain" => personality.domain = word(d, "domain", &["LINUX", "LINUX32"])?,
            "flags" => personality.flags = elements!(d, d.string()?),
        });
        match personality.domain {
            "" => Err(d.fail(format_args!("domain is missing"))),
            _ => Ok(personality),
        }
    }
}
