//! `linux.resources` (config-linux.md, "Control groups"): the limits of each cgroup controller.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::device::{DeviceRule, MAX_MAJOR, MAX_MINOR, device_number, numbers};
use crate::error::Result;
use crate::json::Decoder;
use crate::members;

/// The resource limits of a container. `None` keeps the current value.
#[derive(Debug, Default)]
pub struct Resources<'a> {
    /// The device rules, which apply in order and before the default ones.
    pub devices: Vec<DeviceRule>,
    /// The memory limits.
    pub memory: Memory,
    /// The CPU and cpuset limits.
    pub cpu: Cpu<'a>,
    /// `pids.limit`: the maximum number of processes and threads; -1 is unlimited, and 0 permits none.
    pub pids: Option<i64>,
    /// `blockIO`.
    pub block_io: BlockIo,
    /// `hugepageLimits`, for each page size.
    pub hugepage_limits: Vec<HugepageLimit<'a>>,
    /// The class and priorities of packets.
    pub network: Network<'a>,
    /// By device name.
    pub rdma: Vec<(&'a CStr, Rdma)>,
    /// Names of cgroup v2 files, and their content.
    pub unified: Vec<(&'a CStr, &'a CStr)>,
}

/// `memory`: limits in bytes; -1 is unlimited.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The maximal memory.
    pub limit: Option<i64>,
    /// A soft limit on v1 (`memory.soft_limit_in_bytes`), a protected amount on v2 (`memory.low`).
    pub reservation: Option<i64>,
    /// The maximum of memory plus swap; on v2 it requires `limit`.
    pub swap: Option<i64>,
    /// The maximum of kernel memory; v1 only.
    pub kernel: Option<i64>,
    /// `kernelTCP`: the maximum of TCP buffers; v1 only.
    pub kernel_tcp: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    /// `disableOOMKiller`: processes at the limit wait instead of being killed; v1 only.
    pub disable_oom_killer: Option<bool>,
    /// `useHierarchy`: whether descendant cgroups are accounted; always the case since linux 5.11.
    pub use_hierarchy: Option<bool>,
    /// `checkBeforeUpdate`: `update` fails if the usage cannot be reduced to `limit`, instead of killing processes.
    pub check_before_update: Option<bool>,
}

/// The smallest `memory.limit`, in bytes, with which a static program of one page starts on a single CPU: for each CPU
/// the kernel charges up to 64 pages in advance (MEMCG_CHARGE_BATCH), which it may not reclaim in time.
pub const SMALLEST_MEMORY: i64 = 256 << 10;

/// `cpu`: times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu<'a> {
    /// The weight of `cpu.shares` on v1, 2 to 262144; converted to `cpu.weight` on v2.
    pub shares: Option<u64>,
    /// The CPU time in each period; negative is unlimited.
    pub quota: Option<i64>,
    /// The unused CPU time that may be added to the quota of a later period, at most the quota.
    pub burst: Option<u64>,
    /// The length of a period of the quota.
    pub period: Option<u64>,
    /// `realtimeRuntime`: the CPU time of real-time processes in each `realtimePeriod`; v1 only.
    pub realtime_runtime: Option<i64>,
    /// `realtimePeriod`; v1 only.
    pub realtime_period: Option<u64>,
    /// The CPUs that may be used, such as `0-3,7` (cpuset(7), "List format"); never empty.
    pub cpus: Option<&'a CStr>,
    /// The memory nodes that may be used, in the same format.
    pub mems: Option<&'a CStr>,
    /// 1 schedules the processes like SCHED_IDLE; 0 is the default.
    pub idle: Option<i64>,
}

/// `blockIO`: limits of block devices.
#[derive(Debug, Default)]
pub struct BlockIo {
    /// The weight, 10 to 1000; converted on v2 for the cost model (`io.weight`).
    pub weight: Option<u16>,
    /// `leafWeight`: the weight against descendant cgroups; v1 only, until linux 5.0.
    pub leaf_weight: Option<u16>,
    /// `weightDevice`: weights for single devices.
    pub weight_device: Vec<WeightDevice>,
    /// `throttleReadBpsDevice`: the maximum of bytes read.
    pub throttle_read_bps: Vec<ThrottleDevice>,
    /// `throttleWriteBpsDevice`: the maximum of bytes written.
    pub throttle_write_bps: Vec<ThrottleDevice>,
    /// `throttleReadIOPSDevice`: the maximum of read operations.
    pub throttle_read_iops: Vec<ThrottleDevice>,
    /// `throttleWriteIOPSDevice`: the maximum of write operations.
    pub throttle_write_iops: Vec<ThrottleDevice>,
}

/// An entry of `weightDevice`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightDevice {
    /// The major number of the device.
    pub major: u32,
    /// The minor number of the device.
    pub minor: u32,
    /// As [`BlockIo::weight`].
    pub weight: Option<u16>,
    /// As [`BlockIo::leaf_weight`].
    pub leaf_weight: Option<u16>,
}

/// An entry of a `throttle...Device` list: bytes or operations per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThrottleDevice {
    /// The major number of the device.
    pub major: u32,
    /// The minor number of the device.
    pub minor: u32,
    /// Per second; 0 removes the limit.
    pub rate: u64,
}

/// An entry of `hugepageLimits`: the limit in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HugepageLimit<'a> {
    /// As in the name of the cgroup file, such as `2MB`.
    pub page_size: &'a str,
    /// In bytes.
    pub limit: u64,
}

/// `network`: the controllers net_cls and net_prio.
#[derive(Debug, Default)]
pub struct Network<'a> {
    /// `classID` of net_cls: the class of the packets (tc(8)), as `0xAAAABBBB` for `AAAA:BBBB`; v1 only.
    pub class_id: Option<u32>,
    /// (interface, priority of packets sent there) for net_prio; v1 only.
    pub priorities: Vec<(&'a CStr, u32)>,
}

/// An entry of `rdma`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rdma {
    /// `hcaHandles`: the maximum number of handles; 2147483647 and above is unlimited.
    pub hca_handles: Option<u32>,
    /// `hcaObjects`: the maximum number of objects; 2147483647 and above is unlimited.
    pub hca_objects: Option<u32>,
}

impl<'a> Resources<'a> {
    /// Decodes a document that consists of a `resources` object only, as for `update`; `name` is the document's name in
    /// errors, which are those of [`Config::decode`](super::Config::decode).
    pub fn decode(name: &'a str, text: &'a mut [u8]) -> Result<Self> {
        let mut decoder = Decoder::new(name, text);
        let mut resources = Resources::default();
        resources.read(&mut decoder);
        decoder.finish().map(|()| resources)
    }

    pub(crate) fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "devices" => self.devices = d.list(DeviceRule::read),
            "memory" => self.memory.read(d),
            "cpu" => self.cpu.read(d),
            "pids" => self.pids = pids(d),
            "blockIO" => self.block_io.read(d),
            "hugepageLimits" => self.hugepage_limits = d.list(HugepageLimit::read),
            "network" => self.network.read(d),
            "rdma" => {
                self.rdma = d.map(Rdma::read);
                self.rdma.retain(|(_, rdma)| *rdma != Rdma::default());
            },
            "unified" => self.unified = d.map(unified),
        });
    }
}

impl Resources<'_> {
    /// Whether other resources than memory, CPU, PIDs and devices are limited. Engines write 0 for values that are
    /// not set.
    pub(crate) fn has_rare(&self) -> bool {
        !(self.block_io.is_empty()
            && self.hugepage_limits.is_empty()
            && self.network.class_id.unwrap_or(0) == 0
            && self.network.priorities.is_empty()
            && self.rdma.is_empty()
            && self.unified.is_empty())
    }
}

fn unified<'a>(d: &mut Decoder<'a>, file: &CStr) -> &'a CStr {
    let name = file.to_bytes();
    let good = !name.contains(&b'/') && name.contains(&b'.') && !name.starts_with(b".");
    d.check(good, "must be the name of a cgroup file, such as memory.max");
    // These files would move, kill or freeze processes of the container before it is created.
    let acts = ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze"];
    d.check(
        !acts.iter().any(|other| name == other.as_bytes()),
        "must be a limit: this file moves, kills or freezes processes",
    );
    d.cstr()
}

fn pids(d: &mut Decoder<'_>) -> Option<i64> {
    let mut limit = None;
    members!(d, { "limit" => limit = limit_of(d) });
    limit
}

/// A limit; -1 is unlimited.
fn limit_of(d: &mut Decoder<'_>) -> Option<i64> {
    let value: i64 = d.integer();
    if value < -1 {
        d.fail(format_args!("{value} is below -1"));
    }
    Some(value)
}

impl Memory {
    fn read(&mut self, d: &mut Decoder<'_>) {
        members!(d, {
            "limit" => self.limit = limit_of(d),
            "reservation" => self.reservation = limit_of(d),
            "swap" => self.swap = limit_of(d),
            "kernel" => self.kernel = limit_of(d),
            "kernelTCP" => self.kernel_tcp = limit_of(d),
            "swappiness" => self.swappiness = Some(d.within(0, 100) as u64),
            "disableOOMKiller" => self.disable_oom_killer = Some(d.boolean()),
            "useHierarchy" => self.use_hierarchy = Some(d.boolean()),
            "checkBeforeUpdate" => self.check_before_update = Some(d.boolean()),
        });
    }
}

impl<'a> Cpu<'a> {
    fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "shares" => self.shares = Some(d.integer()),
            "quota" => self.quota = Some(d.integer()),
            "burst" => self.burst = Some(d.integer()),
            "period" => self.period = Some(d.integer()),
            "realtimeRuntime" => self.realtime_runtime = Some(d.integer()),
            "realtimePeriod" => self.realtime_period = Some(d.integer()),
            "cpus" => self.cpus = list(d),
            "mems" => self.mems = list(d),
            "idle" => self.idle = Some(d.integer()),
        });
        if let (Some(quota), Some(burst)) = (self.quota, self.burst)
            && u64::try_from(quota).is_ok_and(|quota| quota > 0 && burst > quota)
        {
            d.fail(format_args!("burst {burst} is above quota {quota}"));
        }
    }
}

/// A list of CPUs or memory nodes. Only its characters are checked, the rest by the kernel (cpuset(7), "List format").
fn list<'a>(d: &mut Decoder<'a>) -> Option<&'a CStr> {
    // If read from a file, it ends with a newline, which the kernel drops as well.
    let text = d.cstr_without_end(u8::is_ascii_whitespace);
    let good = text.to_bytes().iter().all(|b| b.is_ascii_digit() || b",-:/ ".contains(b));
    d.check(good, "must be a list of numbers, such as 0-3,7");
    Some(text).filter(|text| !text.is_empty())
}

impl BlockIo {
    fn read(&mut self, d: &mut Decoder<'_>) {
        members!(d, {
            "weight" => self.weight = Some(d.integer()),
            "leafWeight" => self.leaf_weight = Some(d.integer()),
            "weightDevice" => self.weight_device = d.list(WeightDevice::read),
            "throttleReadBpsDevice" => self.throttle_read_bps = d.list(ThrottleDevice::read),
            "throttleWriteBpsDevice" => self.throttle_write_bps = d.list(ThrottleDevice::read),
            "throttleReadIOPSDevice" => self.throttle_read_iops = d.list(ThrottleDevice::read),
            "throttleWriteIOPSDevice" => self.throttle_write_iops = d.list(ThrottleDevice::read),
        });
    }

    fn is_empty(&self) -> bool {
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
    fn read(d: &mut Decoder<'_>) -> Self {
        let mut device = WeightDevice::default();
        let (mut major, mut minor) = (None, None);
        members!(d, {
            "major" => major = Some(device_number(d, MAX_MAJOR)),
            "minor" => minor = Some(device_number(d, MAX_MINOR)),
            "weight" => device.weight = Some(d.integer()),
            "leafWeight" => device.leaf_weight = Some(d.integer()),
        });
        (device.major, device.minor) = numbers(d, major, minor);
        device
    }
}

impl ThrottleDevice {
    fn read(d: &mut Decoder<'_>) -> Self {
        let (mut major, mut minor, mut rate) = (None, None, 0);
        members!(d, {
            "major" => major = Some(device_number(d, MAX_MAJOR)),
            "minor" => minor = Some(device_number(d, MAX_MINOR)),
            "rate" => rate = d.integer(),
        });
        let (major, minor) = numbers(d, major, minor);
        ThrottleDevice { major, minor, rate }
    }
}

impl<'a> HugepageLimit<'a> {
    fn read(d: &mut Decoder<'a>) -> Self {
        let (mut page_size, mut limit) = (None, 0);
        members!(d, {
            "pageSize" => page_size = Some(page_size_name(d)),
            "limit" => limit = d.integer(),
        });
        HugepageLimit { page_size: d.need(page_size, "pageSize is missing"), limit }
    }
}

fn page_size_name<'a>(d: &mut Decoder<'a>) -> &'a str {
    let text = d.string();
    let number = text.strip_suffix("KB").or(text.strip_suffix("MB")).or(text.strip_suffix("GB"));
    if !number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        d.fail(format_args!("\"{text}\" is not a page size such as 2MB"));
    }
    text
}

impl<'a> Network<'a> {
    fn read(&mut self, d: &mut Decoder<'a>) {
        members!(d, {
            "classID" => self.class_id = Some(d.integer()),
            "priorities" => self.priorities = d.list(priority),
        });
    }
}

fn priority<'a>(d: &mut Decoder<'a>) -> (&'a CStr, u32) {
    let (mut name, mut priority) = (None, 0);
    members!(d, {
        "name" => name = Some(interface(d)),
        "priority" => priority = d.integer(),
    });
    (d.need(name, "name is missing"), priority)
}

/// The name of a network interface. It must not contain whitespace: the kernel parses what follows as the priority.
fn interface<'a>(d: &mut Decoder<'a>) -> &'a CStr {
    let name = d.cstr();
    let good = !name.is_empty() && !name.to_bytes().iter().any(u8::is_ascii_whitespace);
    d.check(good, "must be the name of a network interface");
    name
}

impl Rdma {
    fn read(d: &mut Decoder<'_>, _: &CStr) -> Self {
        let mut rdma = Rdma::default();
        members!(d, {
            "hcaHandles" => rdma.hca_handles = Some(d.integer()),
            "hcaObjects" => rdma.hca_objects = Some(d.integer()),
        });
        rdma
    }
}
