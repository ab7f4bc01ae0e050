//! `mote update`: changes the resource limits of a container.

use alloc::string::String;
use alloc::vec::Vec;
use miniserde::{Serialize, json};
use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::{Document, Update};

use super::context::Context;
use super::options::{Command, Matches, Opt, value};

/// `update`
pub static COMMAND: Command = Command {
    name: "update",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "change the resource limits of a container",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 19] = [
    value(
        "resources",
        Some('r'),
        "FILE",
        "JSON file in the format of linux.resources, or - for standard input",
    ),
    value("blkio-weight", None, "WEIGHT", "block I/O weight, 10 to 1000"),
    value("cpu-period", None, "USECS", "CFS period of the CPU quota, in microseconds"),
    value("cpu-quota", None, "USECS", "CPU time allowed per period, in microseconds; -1 for no limit"),
    value("cpu-burst", None, "USECS", "unused quota that may accumulate, in microseconds"),
    value("cpu-share", None, "SHARES", "relative CPU weight, 2 to 262144"),
    value("cpu-rt-period", None, "USECS", "period of realtime scheduling, in microseconds (cgroup v1)"),
    value("cpu-rt-runtime", None, "USECS", "realtime CPU time per period, in microseconds (cgroup v1)"),
    value("cpu-idle", None, "0|1", "1 to use SCHED_IDLE scheduling for the cgroup"),
    value("cpuset-cpus", None, "LIST", "CPUs that may be used, such as 0-3,7"),
    value("cpuset-mems", None, "LIST", "memory nodes that may be used"),
    value("kernel-memory", None, "BYTES", "kernel memory limit (cgroup v1)"),
    value("kernel-memory-tcp", None, "BYTES", "TCP buffer memory limit (cgroup v1)"),
    value("memory", None, "BYTES", "memory limit, with an optional unit k, m, g, t or p; -1 for no limit"),
    value("memory-reservation", None, "BYTES", "memory reservation (cgroup v1: soft limit, v2: memory.low)"),
    value("memory-swap", None, "BYTES", "limit of memory plus swap; -1 for no limit"),
    value("pids-limit", None, "COUNT", "maximum number of processes and threads; -1 for no limit"),
    value("l3-cache-schema", None, "LINE", "L3 cache schema (resctrl)"),
    value("mem-bw-schema", None, "LINE", "memory bandwidth schema (resctrl)"),
];

/// `linux.resources` of config.json (config-linux.md, "Control groups"), as far as there are options.
#[derive(Serialize)]
struct Resources<'a> {
    memory: Memory,
    cpu: Cpu<'a>,
    pids: Pids,
    #[serde(rename = "blockIO")]
    block_io: BlockIo,
}

#[derive(Serialize)]
struct Memory {
    limit: Option<i64>,
    reservation: Option<i64>,
    swap: Option<i64>,
    kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    kernel_tcp: Option<i64>,
}

#[derive(Serialize)]
struct Cpu<'a> {
    shares: Option<u64>,
    quota: Option<i64>,
    burst: Option<u64>,
    period: Option<u64>,
    #[serde(rename = "realtimeRuntime")]
    realtime_runtime: Option<i64>,
    #[serde(rename = "realtimePeriod")]
    realtime_period: Option<u64>,
    cpus: Option<&'a str>,
    mems: Option<&'a str>,
    idle: Option<i64>,
}

#[derive(Serialize)]
struct Pids {
    limit: Option<i64>,
}

#[derive(Serialize)]
struct BlockIo {
    weight: Option<u16>,
}

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let mut schemata = Vec::new();
    for option in ["l3-cache-schema", "mem-bw-schema"] {
        schemata.extend(matches.text(option)?.map(String::from));
    }
    let resources = match matches.path("resources") {
        Some(path) if path == c"-" => Document::StandardInput,
        Some(path) => Document::File(path.into()),
        None => Document::Bytes(json::to_string(&resources(matches)?).into_bytes()),
    };
    context.perform(&Update { id: matches.id().into(), resources, schemata }).map(|()| 0)
}

fn resources(matches: &Matches) -> Result<Resources<'_>> {
    let list = |option: &str| matches.text(option).map(|list| list.filter(|list| !list.is_empty()));
    Ok(Resources {
        memory: Memory {
            limit: size(matches, "memory")?,
            reservation: size(matches, "memory-reservation")?,
            swap: size(matches, "memory-swap")?,
            kernel: size(matches, "kernel-memory")?,
            kernel_tcp: size(matches, "kernel-memory-tcp")?,
        },
        cpu: Cpu {
            shares: matches.number("cpu-share")?,
            quota: matches.number("cpu-quota")?,
            burst: matches.number("cpu-burst")?,
            period: matches.number("cpu-period")?,
            realtime_runtime: matches.number("cpu-rt-runtime")?,
            realtime_period: matches.number("cpu-rt-period")?,
            cpus: list("cpuset-cpus")?,
            mems: list("cpuset-mems")?,
            idle: matches.number("cpu-idle")?,
        },
        pids: Pids { limit: matches.number("pids-limit")? },
        block_io: BlockIo { weight: matches.number("blkio-weight")? },
    })
}

/// The value of an option that is a size in bytes: `512`, `64k`, `1.5GiB`, or `-1`.
fn size(matches: &Matches, option: &str) -> Result<Option<i64>> {
    let Some(text) = matches.text(option)? else { return Ok(None) };
    match bytes(text) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Error::new(Kind::Usage, format_args!("--{option}: invalid size \"{text}\""))),
    }
}

fn bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let text = text.to_ascii_lowercase();
    let number = text.strip_suffix('b').unwrap_or(&text);
    let number = number.strip_suffix('i').unwrap_or(number);
    let unit = number.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(number.len());
    let (number, unit) = number.split_at_checked(unit)?;
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    let unit = 1i64 << (10 * power);
    match number.split_once('.') {
        None => number.parse::<i64>().ok().filter(|number| *number >= 0)?.checked_mul(unit),
        Some((whole, part)) if part.len() <= 6 => {
            let scale = 10i64.pow(part.len() as u32);
            let (whole, part) = (whole.parse::<u32>().ok()?, part.parse::<u32>().ok()?);
            (i64::from(whole) * scale + i64::from(part)).checked_mul(unit).map(|bytes| bytes / scale)
        }
        Some(_) => None,
    }
}
