//! `linux.resources.blockIO`: weights and throttles, with a disk of this machine.

use std::fs;
use std::path::PathBuf;

use super::{content, controller_dir};
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests_in_layouts;

tests_in_layouts![
    throttles,
    throttle_of_zero_is_no_limit,
    throttle_above_32_bits_is_no_limit,
    throttle_of_a_missing_device_is_rejected,
    block_weight,
    block_weight_of_a_device,
    block_weight_of_a_device_without_weights_is_rejected,
    block_weight_out_of_range_is_rejected,
    leaf_weight_is_rejected,
];

/// A disk: its directory in `/sys/block`, and its device numbers.
pub fn disk() -> Outcome<(PathBuf, i64, i64)> {
    for entry in fs::read_dir("/sys/block")? {
        let path = entry?.path();
        let numbers = fs::read_to_string(path.join("dev"))?;
        let numbers = numbers.trim().split_once(':');
        let numbers = numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        // A loop device, for example, may have no backing file.
        if let (Some((major, minor)), false) = (numbers, fs::read_to_string(path.join("size"))?.trim() == "0")
        {
            return Ok((path, major, minor));
        }
    }
    skip_allowed("no disk")
}

fn throttle(major: i64, minor: i64, rate: i64) -> Json {
    json!([{"major": major, "minor": minor, "rate": rate}])
}

const LISTS: [(&str, &str, &str); 4] = [
    ("ReadBps", "read_bps", "rbps"),
    ("WriteBps", "write_bps", "wbps"),
    ("ReadIOPS", "read_iops", "riops"),
    ("WriteIOPS", "write_iops", "wiops"),
];

fn throttles(rig: &mut Rig) -> Outcome {
    let (directory, v2) = controller_dir(rig, "blkio", "io")?;
    let (_, major, minor) = disk()?;
    let mut bundle = rig.bundle()?;
    for (rate, (name, ..)) in (1001..).zip(LISTS) {
        let field = format!("linux.resources.blockIO.throttle{name}Device");
        bundle.set(&field, throttle(major, minor, rate));
    }
    let _running = rig.waiting(&mut bundle)?;
    if v2 {
        let line = format!("{major}:{minor} rbps=1001 wbps=1002 riops=1003 wiops=1004");
        same("io.max", content(&directory, "io.max")?, line)?;
    }
    for (rate, (_, file, _)) in (1001..).zip(LISTS).filter(|_| !v2) {
        let file = format!("blkio.throttle.{file}_device");
        same(&file, content(&directory, &file)?, format!("{major}:{minor} {rate}"))?;
    }
    rig.delete()
}

fn throttle_of_zero_is_no_limit(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun write a zero, which v2 rejects");
    }
    unlimited(rig, "ReadBps", 0)
}

/// A rate of more than 32 bits, which v1 cannot hold.
fn throttle_above_32_bits_is_no_limit(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("v1 truncates the value of runc and crun to 32 bits");
    }
    unlimited(rig, "WriteIOPS", (1 << 32) + 5)
}

fn unlimited(rig: &Rig, name: &str, rate: i64) -> Outcome {
    let (directory, v2) = controller_dir(rig, "blkio", "io")?;
    let (_, major, minor) = disk()?;
    let mut bundle = rig.bundle()?;
    let lists = format!("linux.resources.blockIO.throttle{name}Device");
    bundle.set(&lists, throttle(major, minor, rate));
    let _running = rig.waiting(&mut bundle)?;
    let files = match v2 {
        true => vec!["io.max".to_string()],
        false => LISTS.map(|(_, file, _)| format!("blkio.throttle.{file}_device")).to_vec(),
    };
    for file in files {
        same(&file, content(&directory, &file)?, "")?;
    }
    rig.delete()
}

fn throttle_of_a_missing_device_is_rejected(rig: &mut Rig) -> Outcome {
    controller_dir(rig, "blkio", "io")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.blockIO.throttleReadBpsDevice", throttle(240, 99, 5));
    let name = "linux.resources.blockIO.throttleReadBpsDevice[0]: write 240:99 ";
    rig.rejected(&bundle, &[name, "no such device"])
}

/// The files of the I/O scheduler that has weights in this layout, and whether the scale is that of v1.
fn weights(rig: &Rig) -> Outcome<(PathBuf, [&'static str; 2], bool)> {
    let (directory, v2) = controller_dir(rig, "blkio", "io")?;
    // Whether the module is loaded shows only in a cgroup.
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let names = match v2 {
        true => [["io.bfq.weight"; 2], ["io.weight"; 2]],
        false => [["blkio.bfq.weight", "blkio.bfq.weight_device"], ["blkio.weight", "blkio.weight_device"]],
    };
    let there = names.into_iter().find(|[file, _]| directory.join(file).exists());
    rig.delete()?;
    match there {
        Some(files) => Ok((directory, files, files[0] != "io.weight")),
        None => skip_allowed("no I/O weights in this kernel"),
    }
}

fn block_weight(rig: &mut Rig) -> Outcome {
    let (directory, [file, _], as_v1) = weights(rig)?;
    for (weight, other) in [(10, 1), (500, 4950), (1000, 10000)] {
        let mut bundle = rig.bundle()?;
        bundle.set("linux.resources.blockIO.weight", weight);
        let _running = rig.waiting(&mut bundle)?;
        let want = if as_v1 { weight } else { other };
        same(file, content(&directory, file)?.trim_start_matches("default "), want.to_string())?;
        rig.delete()?;
    }
    Ok(())
}

/// Whether the disk's I/O scheduler has weights.
fn has_weights(disk: &std::path::Path) -> Outcome<bool> {
    Ok(fs::read_to_string(disk.join("queue/scheduler"))?.contains("[bfq]"))
}

fn with_weight_of_device(rig: &Rig, major: i64, minor: i64) -> Outcome<crate::bundle::Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    let device = json!([{"major": major, "minor": minor, "weight": 200i64}]);
    bundle.set("linux.resources.blockIO.weightDevice", device);
    Ok(bundle)
}

fn block_weight_of_a_device(rig: &mut Rig) -> Outcome {
    let (directory, [_, file], _) = weights(rig)?;
    let (disk, major, minor) = disk()?;
    if !has_weights(&disk)? {
        return skip_allowed("the disk's scheduler has no weights");
    }
    let mut bundle = with_weight_of_device(rig, major, minor)?;
    let _running = rig.waiting(&mut bundle)?;
    let (text, line) = (content(&directory, file)?, format!("{major}:{minor} 200"));
    holds(&format!("{line} in {text}"), text.lines().any(|known| known == line))?;
    rig.delete()
}

fn block_weight_of_a_device_without_weights_is_rejected(rig: &mut Rig) -> Outcome {
    weights(rig)?;
    let (disk, major, minor) = disk()?;
    if has_weights(&disk)? || rig.is(Runtime::Runc) {
        return skip_allowed("the weight is accepted here");
    }
    let bundle = with_weight_of_device(rig, major, minor)?;
    rig.rejected(&bundle, &["linux.resources.blockIO.weightDevice[0].weight: ", "not supported"])
}

fn block_weight_out_of_range_is_rejected(rig: &mut Rig) -> Outcome {
    controller_dir(rig, "blkio", "io")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.blockIO.weight", 1001);
    rig.rejected(&bundle, &["linux.resources.blockIO.weight: 1001"])
}

/// v2 has no leaf_weight, and v1 has none since Linux 5.0.
fn leaf_weight_is_rejected(rig: &mut Rig) -> Outcome {
    controller_dir(rig, "blkio", "io")?;
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc ignores it on v2");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.resources.blockIO.leafWeight", 10);
    rig.rejected(&bundle, &["linux.resources.blockIO.leafWeight: "])
}
