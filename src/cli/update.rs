//! `mote update`: changes limits of a container.

use mote::config::resources::{BlockIo, Cpu, Memory, Resources};
use mote::container::update::{Limits, Request, update};
use mote::error::{Error, Kind, Result};

use super::context::Context;
use super::options::{Command, Matches, Opt, value};

/// `update`
pub static COMMAND: Command = Command {
    name: "update",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "change limits of a container",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 19] = [
    value("resources", Some('r'), "FILE", "new limits as in linux.resources, - for the standard input"),
    value("blkio-weight", None, "WEIGHT", "share of storage bandwidth, 10 to 1000"),
    value("cpu-period", None, "USECS", "period that the quota is for"),
    value("cpu-quota", None, "USECS", "CPU time in each period, -1 for all"),
    value("cpu-burst", None, "USECS", "CPU time that may be saved up"),
    value("cpu-share", None, "SHARES", "share of CPU time, 2 to 262144"),
    value("cpu-rt-period", None, "USECS", "period for realtime scheduling"),
    value("cpu-rt-runtime", None, "USECS", "realtime CPU time in each period"),
    value("cpu-idle", None, "0|1", "run only when nobody else wants to"),
    value("cpuset-cpus", None, "LIST", "CPUs to run on: 0-3,7"),
    value("cpuset-mems", None, "LIST", "memory nodes to use"),
    value("kernel-memory", None, "BYTES", "kernel memory (cgroup v1)"),
    value("kernel-memory-tcp", None, "BYTES", "memory of TCP buffers (cgroup v1)"),
    value("memory", None, "BYTES", "memory, -1 for no limit; with k, m, g, t for more"),
    value("memory-reservation", None, "BYTES", "memory that is kept for it"),
    value("memory-swap", None, "BYTES", "memory and swap together, -1 for no limit"),
    value("pids-limit", None, "COUNT", "processes, -1 for no limit"),
    value("l3-cache-schema", None, "LINE", "share of the cache (resctrl)"),
    value("mem-bw-schema", None, "LINE", "share of memory bandwidth (resctrl)"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let mut schemata = Vec::new();
    for option in ["l3-cache-schema", "mem-bw-schema"] {
        schemata.extend(matches.text(option)?);
    }
    let limits = match matches.path("resources") {
        Some(path) if path == c"-" => Limits::Standard,
        Some(path) => Limits::File(path),
        None => Limits::Given(resources(matches)?.into()),
    };
    update(&context.store, Request { id: matches.id(), limits, schemata: &schemata }).map(|()| 0)
}

fn resources(matches: &Matches) -> Result<Resources<'_>> {
    let path = |option: &str| matches.path(option).filter(|list| !list.is_empty());
    Ok(Resources {
        memory: Memory {
            limit: size(matches, "memory")?,
            reservation: size(matches, "memory-reservation")?,
            swap: size(matches, "memory-swap")?,
            kernel: size(matches, "kernel-memory")?,
            kernel_tcp: size(matches, "kernel-memory-tcp")?,
            ..Memory::default()
        },
        cpu: Cpu {
            shares: matches.number("cpu-share")?,
            quota: matches.number("cpu-quota")?,
            burst: matches.number("cpu-burst")?,
            period: matches.number("cpu-period")?,
            realtime_runtime: matches.number("cpu-rt-runtime")?,
            realtime_period: matches.number("cpu-rt-period")?,
            cpus: path("cpuset-cpus"),
            mems: path("cpuset-mems"),
            idle: matches.number("cpu-idle")?,
        },
        pids: matches.number("pids-limit")?,
        block_io: BlockIo { weight: matches.number("blkio-weight")?, ..BlockIo::default() },
        ..Resources::default()
    })
}

/// Bytes: `512`, `64k`, `1.5GiB`, and `-1`.
fn size(matches: &Matches, option: &str) -> Result<Option<i64>> {
    let Some(text) = matches.text(option)? else { return Ok(None) };
    match bytes(text) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Error::new(Kind::Usage, format_args!("--{option}: \"{text}\" is not a size"))),
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
