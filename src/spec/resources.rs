//! `linux.resources` (config-linux.md, "Control groups"): limits, controller by controller.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::error::Result;
use crate::json::Decoder;
use crate::{elements, entries, members};

/// What a container may use. `None` is "leave as it is".
#[derive(Debug, Default)]
pub struct Resources<'a> {
    pub devices: Vec<DeviceRule>,
    pub memory: Memory,
    pub cpu: Cpu<'a>,
    pub pids: Option<i64>,
    pub block_io: BlockIo,
    pub hugepage_limits: Vec<HugepageLimit<'a>>,
    pub network: Network<'a>,
    /// By device name.
    pub rdma: Vec<(&'a CStr, Rdma)>,
    /// cgroup v2 files by name.
    pub unified: Vec<(&'a CStr, &'a CStr)>,
}

/// One of `devices`: the allowed device list, applied in order.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRule {
    pub allow: bool,
    /// `a`, `b` or `c`.
    pub kind: u8,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// Bits of [`ACCESS_READ`], [`ACCESS_WRITE`] and [`ACCESS_MKNOD`].
    pub access: u8,
}

/// `r` in `access`.
pub const ACCESS_READ: u8 = 1;
/// `w` in `access`.
pub const ACCESS_WRITE: u8 = 2;
/// `m` in `access`.
pub const ACCESS_MKNOD: u8 = 4;

/// `memory`, in bytes; -1 is no limit.
#[derive(Debug, Default)]
pub struct Memory {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    pub kernel_tcp: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    pub disable_oom_killer: Option<bool>,
    pub use_hierarchy: Option<bool>,
    pub check_before_update: Option<bool>,
}

/// `cpu`; times in microseconds.
#[derive(Debug, Default)]
pub struct Cpu<'a> {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub burst: Option<u64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    pub cpus: Option<&'a CStr>,
    pub mems: Option<&'a CStr>,
    pub idle: Option<i64>,
}

/// `blockIO`.
#[derive(Debug, Default)]
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weight_device: Vec<WeightDevice>,
    pub throttle_read_bps: Vec<ThrottleDevice>,
    pub throttle_write_bps: Vec<ThrottleDevice>,
    pub throttle_read_iops: Vec<ThrottleDevice>,
    pub throttle_write_iops: Vec<ThrottleDevice>,
}

/// One of `weightDevice`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightDevice {
    pub major: u32,
    pub minor: u32,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// One of the `throttle...Device` lists: bytes or operations a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThrottleDevice {
    pub major: u32,
    pub minor: u32,
    pub rate: u64,
}

/// One of `hugepageLimits`, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HugepageLimit<'a> {
    /// As in the control file's name: `2MB`.
    pub page_size: &'a str,
    pub limit: u64,
}

/// `network`: net_cls and net_prio.
#[derive(Debug, Default)]
pub struct Network<'a> {
    pub class_id: Option<u32>,
    pub priorities: Vec<(&'a CStr, u32)>,
}

/// One of `rdma`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rdma {
    pub hca_handles: Option<u32>,
    pub hca_objects: Option<u32>,
}

impl<'a> Resources<'a> {
    pub(crate) fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut resources = Resources::default();
        members!(d, {
            "devices" => resources.devices = elements!(d, DeviceRule::read(d)?),
            "memory" => resources.memory = Memory::read(d)?,
            "cpu" => resources.cpu = Cpu::read(d)?,
            "pids" => resources.pids = pids(d)?,
            "blockIO" => resources.block_io = BlockIo::read(d)?,
            "hugepageLimits" => resources.hugepage_limits = elements!(d, HugepageLimit::read(d)?),
            "network" => resources.network = Network::read(d)?,
            "rdma" => resources.rdma = entries!(d, name, Rdma::read(d)?),
            "unified" => resources.unified = entries!(d, file, unified(d, file)?),
        });
        Ok(resources)
    }
}

/// A file's content; its name must stay inside the cgroup's directory.
fn unified<'a>(d: &mut Decoder<'a>, file: &CStr) -> Result<&'a CStr> {
    let name = file.to_bytes();
    if name.contains(&b'/') || !name.contains(&b'.') || name.starts_with(b".") {
        return Err(d.fail(format_args!("not the name of a cgroup file")));
    }
    d.cstr()
}

fn pids(d: &mut Decoder<'_>) -> Result<Option<i64>> {
    let mut limit = None;
    members!(d, { "limit" => limit = Some(at_least(d, -1)?) });
    Ok(limit)
}

fn at_least(d: &mut Decoder<'_>, least: i64) -> Result<i64> {
    match d.integer()? {
        value if value < least => Err(d.fail(format_args!("{value} is below {least}"))),
        value => Ok(value),
    }
}

impl DeviceRule {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        const KINDS: [(&str, u8); 4] = [("a", b'a'), ("b", b'b'), ("c", b'c'), ("", b'a')];
        let mut allow = None;
        let mut rule = DeviceRule { allow: false, kind: b'a', major: None, minor: None, access: 0 };
        members!(d, {
            "allow" => allow = Some(d.boolean()?),
            "type" => rule.kind = d.keyword("device type", &KINDS)?,
            "major" => rule.major = wildcard(d)?,
            "minor" => rule.minor = wildcard(d)?,
            "access" => rule.access = access(d)?,
        });
        rule.allow = allow.ok_or_else(|| d.fail(format_args!("allow is missing")))?;
        if rule.access == 0 {
            rule.access = ACCESS_READ | ACCESS_WRITE | ACCESS_MKNOD;
        }
        Ok(rule)
    }
}

/// Engines write -1 for "all".
fn wildcard(d: &mut Decoder<'_>) -> Result<Option<u32>> {
    Ok(u32::try_from(at_least(d, -1)?).ok())
}

fn access(d: &mut Decoder<'_>) -> Result<u8> {
    let mut bits = 0;
    for letter in d.string()?.chars() {
        bits |= match letter {
            'r' => ACCESS_READ,
            'w' => ACCESS_WRITE,
            'm' => ACCESS_MKNOD,
            other => return Err(d.fail(format_args!("unknown access \"{other}\""))),
        };
    }
    Ok(bits)
}

impl Memory {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut memory = Memory::default();
        members!(d, {
            "limit" => memory.limit = Some(at_least(d, -1)?),
            "reservation" => memory.reservation = Some(at_least(d, -1)?),
            "swap" => memory.swap = Some(at_least(d, -1)?),
            "kernel" => memory.kernel = Some(at_least(d, -1)?),
            "kernelTCP" => memory.kernel_tcp = Some(at_least(d, -1)?),
            "swappiness" => memory.swappiness = Some(swappiness(d)?),
            "disableOOMKiller" => memory.disable_oom_killer = Some(d.boolean()?),
            "useHierarchy" => memory.use_hierarchy = Some(d.boolean()?),
            "checkBeforeUpdate" => memory.check_before_update = Some(d.boolean()?),
        });
        Ok(memory)
    }
}

fn swappiness(d: &mut Decoder<'_>) -> Result<u64> {
    match d.integer()? {
        value @ 0..=100 => Ok(value),
        value => Err(d.fail(format_args!("{value} is not within 0 and 100"))),
    }
}

impl<'a> Cpu<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut cpu = Cpu::default();
        members!(d, {
            "shares" => cpu.shares = Some(d.integer()?),
            "quota" => cpu.quota = Some(d.integer()?),
            "burst" => cpu.burst = Some(d.integer()?),
            "period" => cpu.period = Some(d.integer()?),
            "realtimeRuntime" => cpu.realtime_runtime = Some(d.integer()?),
            "realtimePeriod" => cpu.realtime_period = Some(d.integer()?),
            "cpus" => cpu.cpus = list(d)?,
            "mems" => cpu.mems = list(d)?,
            "idle" => cpu.idle = Some(d.integer()?),
        });
        if let (Some(quota), Some(burst)) = (cpu.quota, cpu.burst)
            && u64::try_from(quota).is_ok_and(|quota| quota > 0 && burst > quota)
        {
            return Err(d.fail(format_args!("burst {burst} is above quota {quota}")));
        }
        Ok(cpu)
    }
}

/// A list of numbers and ranges, as cpuset(7) has it: `0-3,7`. `""` is none given.
fn list<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a CStr>> {
    let text = d.cstr()?;
    match text.to_bytes().iter().all(|b| b.is_ascii_digit() || b",-:/ ".contains(b)) {
        true => Ok(Some(text).filter(|text| !text.is_empty())),
        false => Err(d.fail(format_args!("not a list of numbers"))),
    }
}

impl BlockIo {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut io = BlockIo::default();
        members!(d, {
            "weight" => io.weight = Some(d.integer()?),
            "leafWeight" => io.leaf_weight = Some(d.integer()?),
            "weightDevice" => io.weight_device = elements!(d, WeightDevice::read(d)?),
            "throttleReadBpsDevice" => io.throttle_read_bps = elements!(d, ThrottleDevice::read(d)?),
            "throttleWriteBpsDevice" => io.throttle_write_bps = elements!(d, ThrottleDevice::read(d)?),
            "throttleReadIOPSDevice" => io.throttle_read_iops = elements!(d, ThrottleDevice::read(d)?),
            "throttleWriteIOPSDevice" => io.throttle_write_iops = elements!(d, ThrottleDevice::read(d)?),
        });
        Ok(io)
    }

    /// Nothing asked for. Engines write a zero weight for "not set".
    pub fn is_empty(&self) -> bool {
        let throttles = [
            &self.throttle_read_bps,
            &self.throttle_write_bps,
            &self.throttle_read_iops,
            &self.throttle_write_iops,
        ];
        self.weight.unwrap_or(0) == 0
            && self.leaf_weight.unwrap_or(0) == 0
            && self.weight_device.is_empty()
            && throttles.iter().all(|list| list.is_empty())
    }
}

impl WeightDevice {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut device = WeightDevice::default();
        members!(d, {
            "major" => device.major = d.integer()?,
            "minor" => device.minor = d.integer()?,
            "weight" => device.weight = Some(d.integer()?),
            "leafWeight" => device.leaf_weight = Some(d.integer()?),
        });
        match device.weight.is_none() && device.leaf_weight.is_none() {
            true => Err(d.fail(format_args!("needs weight or leafWeight"))),
            false => Ok(device),
        }
    }
}

impl ThrottleDevice {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut device = ThrottleDevice::default();
        let mut rate = None;
        members!(d, {
            "major" => device.major = d.integer()?,
            "minor" => device.minor = d.integer()?,
            "rate" => rate = Some(d.integer()?),
        });
        device.rate = rate.ok_or_else(|| d.fail(format_args!("rate is missing")))?;
        Ok(device)
    }
}

impl<'a> HugepageLimit<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let (mut page_size, mut limit) = (None, None);
        members!(d, {
            "pageSize" => page_size = Some(page_size_name(d)?),
            "limit" => limit = Some(d.integer()?),
        });
        match (page_size, limit) {
            (Some(page_size), Some(limit)) => Ok(HugepageLimit { page_size, limit }),
            _ => Err(d.fail(format_args!("needs pageSize and limit"))),
        }
    }
}

fn page_size_name<'a>(d: &mut Decoder<'a>) -> Result<&'a str> {
    let text = d.string()?;
    let number = text.strip_suffix("KB").or(text.strip_suffix("MB")).or(text.strip_suffix("GB"));
    match number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        true => Ok(text),
        false => Err(d.fail(format_args!("\"{text}\" is not a page size such as 2MB"))),
    }
}

impl<'a> Network<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self> {
        let mut network = Network::default();
        members!(d, {
            "classID" => network.class_id = Some(d.integer()?),
            "priorities" => network.priorities = elements!(d, priority(d)?),
        });
        Ok(network)
    }
}

fn priority<'a>(d: &mut Decoder<'a>) -> Result<(&'a CStr, u32)> {
    let (mut name, mut priority) = (None, None);
    members!(d, {
        "name" => name = Some(d.cstr()?),
        "priority" => priority = Some(d.integer()?),
    });
    match (name, priority) {
        (Some(name), Some(priority)) => Ok((name, priority)),
        _ => Err(d.fail(format_args!("needs name and priority"))),
    }
}

impl Rdma {
    fn read(d: &mut Decoder<'_>) -> Result<Self> {
        let mut rdma = Rdma::default();
        members!(d, {
            "hcaHandles" => rdma.hca_handles = Some(d.integer()?),
            "hcaObjects" => rdma.hca_objects = Some(d.integer()?),
        });
        match rdma.hca_handles.is_none() && rdma.hca_objects.is_none() {
            true => Err(d.fail(format_args!("needs hcaHandles or hcaObjects"))),
            false => Ok(rdma),
        }
    }
}
