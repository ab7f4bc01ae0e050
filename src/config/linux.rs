//! `linux` (config-linux.md): namespaces, ID mappings, devices, paths and the smaller sections.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;

use super::device::Device;
use super::resources::Resources;
use super::seccomp::Seccomp;
use super::values::{check_absolute, non_empty, word};
use crate::json::Decoder;
use crate::members;

/// The section `linux` of a configuration.
#[derive(Debug, Default)]
pub struct Linux<'a> {
    /// `namespaces`, each kind at most once.
    pub namespaces: Vec<Namespace<'a>>,
    /// `uidMappings` of a new user namespace.
    pub uid_mappings: Vec<IdMapping>,
    /// `gidMappings` of a new user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// `timeOffsets` of a new time namespace.
    pub time_offsets: Vec<TimeOffset>,
    /// The device nodes to create, besides the default ones.
    pub devices: Vec<Device<'a>>,
    /// (name on the host, name in the container)
    pub net_devices: Vec<(&'a CStr, Option<&'a CStr>)>,
    /// `cgroupsPath`: a path, or `SLICE:PREFIX:NAME` for systemd; never empty.
    pub cgroups_path: Option<&'a CStr>,
    /// The limits of the cgroup.
    pub resources: Resources<'a>,
    /// `intelRdt`; `None` also if it requests nothing.
    pub intel_rdt: Option<IntelRdt<'a>>,
    /// `memoryPolicy`; `None` keeps the one that is inherited.
    pub memory_policy: Option<MemoryPolicy<'a>>,
    /// Sorted by key.
    pub sysctl: Vec<(&'a CStr, &'a CStr)>,
    /// The seccomp profile; `None`, without a filter, also if it is empty.
    pub seccomp: Option<Seccomp<'a>>,
    /// `rootfsPropagation`: a checked word such as `rslave` (mount_namespaces(7)).
    pub rootfs_propagation: Option<&'a str>,
    /// `maskedPaths`: absolute paths in the container, whose content is hidden.
    pub masked_paths: Vec<&'a CStr>,
    /// `readonlyPaths`: absolute paths in the container.
    pub readonly_paths: Vec<&'a CStr>,
    /// `mountLabel`: the SELinux label of new filesystems.
    pub mount_label: Option<&'a CStr>,
    /// `personality`; `None` keeps the one that is inherited.
    pub personality: Option<Personality<'a>>,
}

impl Linux<'_> {
    /// Adds a new user namespace, which `namespaces` lacks.
    pub fn add_user_namespace(&mut self) {
        self.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    }
}

/// The kinds of namespaces (namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum NamespaceKind {
    /// user_namespaces(7)
    #[default]
    User,
    /// mount_namespaces(7)
    Mount,
    /// pid_namespaces(7)
    Pid,
    /// network_namespaces(7)
    Network,
    /// ipc_namespaces(7)
    Ipc,
    /// uts_namespaces(7)
    Uts,
    /// cgroup_namespaces(7)
    Cgroup,
    /// time_namespaces(7)
    Time,
}

/// The names of namespaces in the specification, in the order in which `features` prints them.
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

/// An entry of `namespaces`: a new namespace, or an existing one at a path.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// `type`.
    pub kind: NamespaceKind,
    /// The absolute path of an existing namespace; `None` is a new one.
    pub path: Option<&'a CStr>,
}

/// An entry of `uidMappings` or `gidMappings`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdMapping {
    /// The first ID in the container (user_namespaces(7), "User and group ID mappings").
    pub container_id: u32,
    /// The ID to which it is mapped in the user namespace of the caller.
    pub host_id: u32,
    /// The number of IDs, at least one; neither range goes beyond 32 bits.
    pub size: u32,
}

/// The ID mappings of a user namespace: UIDs and GIDs.
pub type Mappings<'m> = (&'m [IdMapping], &'m [IdMapping]);

/// An entry of `timeOffsets`: the clock ID of clock_gettime(2), seconds and nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct TimeOffset {
    /// CLOCK_MONOTONIC (1) or CLOCK_BOOTTIME (7).
    pub clock: u8,
    /// Seconds, which may be negative.
    pub secs: i64,
    /// Nanoseconds to add, below 10⁹.
    pub nanosecs: u32,
}

/// The clocks with an offset in a time namespace (time_namespaces(7)).
static CLOCKS: [(&str, u8); 2] = [("monotonic", 1), ("boottime", 7)];

/// `intelRdt`: the parameters of a resctrl group.
#[derive(Debug, Default)]
pub struct IntelRdt<'a> {
    /// `closID`: the name of an existing or new group; `None` is a group of the container, named by its ID.
    pub clos_id: Option<&'a CStr>,
    /// `l3CacheSchema`: a line for the `schemata` file.
    pub l3_cache_schema: Option<&'a CStr>,
    /// `memBwSchema`: a line for the `schemata` file, beginning with `MB:`.
    pub mem_bw_schema: Option<&'a CStr>,
    /// More lines for the `schemata` file.
    pub schemata: Vec<&'a CStr>,
    /// `enableMonitoring`: whether the container gets a monitoring group.
    pub enable_monitoring: bool,
}

/// `memoryPolicy`: the parameters of set_mempolicy(2).
#[derive(Debug, Default)]
pub struct MemoryPolicy<'a> {
    /// `MPOL_*`
    pub mode: u32,
    /// A list of memory nodes such as `0-3,7` (cpuset(7), "List format").
    pub nodes: Option<&'a str>,
    /// `MPOL_F_*`, combined.
    pub flags: u32,
}

/// Names of memory policy modes, with the kernel's numbers (include/uapi/linux/mempolicy.h).
pub static MEMORY_POLICIES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ("MPOL_PREFERRED", 1),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_LOCAL", 4),
];

/// Names of memory policy flags, with the kernel's bits.
pub static MEMORY_POLICY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

/// `personality`: the execution domain of personality(2).
#[derive(Debug, Default)]
pub struct Personality<'a> {
    /// `LINUX` or `LINUX32`.
    pub domain: &'a str,
    /// Rejected if not empty: the specification defines none.
    pub flags: Vec<&'a str>,
}

impl<'a> Linux<'a> {
    /// `uidMappings` and `gidMappings`.
    pub fn mappings(&self) -> Mappings<'_> {
        (&self.uid_mappings, &self.gid_mappings)
    }

    pub(crate) fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "namespaces" => self.namespaces = namespaces(d),
            "uidMappings" => self.uid_mappings = id_mappings(d),
            "gidMappings" => self.gid_mappings = id_mappings(d),
            "timeOffsets" => self.time_offsets = time_offsets(d),
            "devices" => self.devices = d.list(Device::read),
            "netDevices" => self.net_devices = d.map(net_device),
            "cgroupsPath" => self.cgroups_path = non_empty(d),
            "resources" => self.resources.read(d),
            "intelRdt" => self.intel_rdt = Some(IntelRdt::read(d)).filter(|rdt| !rdt.is_empty()),
            "memoryPolicy" => self.memory_policy = Some(MemoryPolicy::read(d)),
            "sysctl" => self.sysctl = d.map(|d, _| d.cstr()),
            "seccomp" => {
                self.seccomp.insert(Seccomp::default()).read(d);
                self.seccomp.take_if(|seccomp| seccomp.is_empty());
            },
            "rootfsPropagation" => self.rootfs_propagation = propagation(d),
            "maskedPaths" => self.masked_paths = d.list(absolute),
            "readonlyPaths" => self.readonly_paths = d.list(absolute),
            "mountLabel" => self.mount_label = non_empty(d),
            "personality" => self.personality = Some(Personality::read(d)),
        });
    }
}

pub(crate) fn absolute<'a>(d: &mut Decoder<'a>) -> &'a CStr {
    let path = d.cstr();
    check_absolute(d, path)
}

fn propagation<'a>(d: &mut Decoder<'a>) -> Option<&'a str> {
    // Engines also write the recursive forms, and "" if it is not set.
    const WORDS: [&str; 9] =
        ["", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];
    Some(word(d, "propagation", &WORDS)).filter(|text| !text.is_empty())
}

fn namespaces<'a>(d: &mut Decoder<'a>) -> Vec<Namespace<'a>> {
    let given = Cell::new(0u32);
    d.list(|d| {
        let namespace = Namespace::read(d);
        let bit = 1 << namespace.kind as u32;
        if given.get() & bit != 0 {
            d.fail(format_args!("a second {} namespace", namespace.kind.name()));
        }
        given.set(given.get() | bit);
        namespace
    })
}

impl NamespaceKind {
    /// The name in the specification.
    pub fn name(self) -> &'static str {
        NAMESPACES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl<'a> Namespace<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let (mut kind, mut path) = (None, None);
        members!(d, {
            "type" => kind = d.keyword("namespace", &NAMESPACES),
            "path" => path = namespace_path(d),
        });
        Namespace { kind: d.need(kind, "type is missing"), path }
    }
}

fn namespace_path<'a>(d: &mut Decoder<'a>) -> Option<&'a CStr> {
    let path = non_empty(d);
    d.check(path.is_none_or(|path| path.to_bytes().starts_with(b"/")), "must be an absolute path");
    path
}

/// Reads a list of ID mappings.
#[inline(never)]
pub(crate) fn id_mappings(d: &mut Decoder<'_>) -> Vec<IdMapping> {
    d.list(IdMapping::read)
}

impl IdMapping {
    /// Maps an ID of the container to the host's; `None` if it is not mapped.
    pub(crate) fn to_host(mappings: &[IdMapping], id: u32) -> Option<u32> {
        let place = |mapping: &IdMapping| {
            let place = id.checked_sub(mapping.container_id).filter(|place| *place < mapping.size)?;
            mapping.host_id.checked_add(place)
        };
        mappings.iter().find_map(place)
    }

    /// Reads an entry, and checks that the range is not empty and within 32 bits.
    fn read(d: &mut Decoder<'_>) -> Self {
        let mut mapping = IdMapping::default();
        members!(d, {
            "containerID" => mapping.container_id = d.integer(),
            "hostID" => mapping.host_id = d.integer(),
            "size" => mapping.size = d.integer(),
        });
        let IdMapping { container_id, host_id, size } = mapping;
        let fits = |start: u32| start.checked_add(size).is_some();
        if size == 0 || !fits(container_id) || !fits(host_id) {
            d.fail(format_args!("not a range of ids: {container_id} {host_id} {size}"));
        }
        mapping
    }
}

fn time_offsets(d: &mut Decoder<'_>) -> Vec<TimeOffset> {
    let offsets = d.map(|d, name| {
        let known = CLOCKS.iter().find(|(clock, _)| clock.as_bytes() == name.to_bytes());
        d.check(known.is_some(), "unknown clock: must be monotonic or boottime");
        let mut offset = TimeOffset { clock: known.map_or(0, |(_, clock)| *clock), secs: 0, nanosecs: 0 };
        members!(d, {
            "secs" => offset.secs = d.integer(),
            "nanosecs" => offset.nanosecs = nanosecs(d),
        });
        offset
    });
    offsets.into_iter().map(|(_, offset)| offset).collect()
}

fn nanosecs(d: &mut Decoder<'_>) -> u32 {
    let value = d.integer();
    if value > 999_999_999 {
        d.fail(format_args!("{value} is above 999999999"));
    }
    value
}

fn net_device<'a>(d: &mut Decoder<'a>, _: &CStr) -> Option<&'a CStr> {
    let mut name = None;
    members!(d, { "name" => name = non_empty(d) });
    name
}

impl<'a> IntelRdt<'a> {
    /// Whether nothing is requested.
    fn is_empty(&self) -> bool {
        let schemata = [self.l3_cache_schema, self.mem_bw_schema].into_iter().flatten();
        let mut schemata = schemata.chain(self.schemata.iter().copied());
        self.clos_id.is_none() && !self.enable_monitoring && schemata.all(CStr::is_empty)
    }

    fn read(d: &mut Decoder<'a>) -> Self {
        let mut rdt = IntelRdt::default();
        members!(d, {
            "closID" => rdt.clos_id = non_empty(d),
            "l3CacheSchema" => rdt.l3_cache_schema = Some(line(d)).filter(|line| !line.is_empty()),
            "memBwSchema" => rdt.mem_bw_schema = Some(line(d)).filter(|line| !line.is_empty()),
            "schemata" => rdt.schemata = d.list(line),
            "enableMonitoring" => rdt.enable_monitoring = d.boolean(),
        });
        rdt
    }
}

fn line<'a>(d: &mut Decoder<'a>) -> &'a CStr {
    let text = d.cstr();
    d.check(!text.to_bytes().contains(&b'\n'), "must be one line");
    text
}

impl<'a> MemoryPolicy<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let (mut policy, mut mode) = (MemoryPolicy::default(), None);
        members!(d, {
            "mode" => mode = d.keyword("mode", &MEMORY_POLICIES),
            "nodes" => policy.nodes = Some(d.string()),
            "flags" => policy.flags = memory_policy_flags(d),
        });
        policy.mode = d.need(mode, "mode is missing");
        policy
    }
}

fn memory_policy_flags(d: &mut Decoder<'_>) -> u32 {
    let flags = d.list(|d| d.keyword("flag", &MEMORY_POLICY_FLAGS).unwrap_or(0));
    flags.iter().fold(0, |all, flag| all | flag)
}

impl<'a> Personality<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let mut personality = Personality::default();
        members!(d, {
            "domain" => personality.domain = word(d, "domain", &["LINUX", "LINUX32"]),
            "flags" => personality.flags = d.list(Decoder::string),
        });
        d.check(!personality.domain.is_empty(), "domain is missing");
        personality
    }
}
