//! `linux.resources.blockIO`: the controllers blkio of v1 (admin-guide/cgroup-v1/blkio-controller.rst) and io of v2
//! (cgroup-v2.rst, "IO").

use core::fmt;

use super::write::{Field, IfMissing, Writes};
use crate::config::resources::BlockIo;
use crate::error::{Error, Result};

/// The highest weight of the BFQ scheduler, and of CFQ before it.
const MOST: u16 = 1000;

/// The beginning of a line: a device, or nothing for the default of all devices.
#[derive(Clone, Copy)]
struct Key(Option<(u32, u32)>);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(major, minor)| write!(f, "{major}:{minor} "))
    }
}

impl Writes<'_> {
    /// Adds the limits of block devices. Engines write a zero weight for "not set".
    pub fn block(&mut self, block: &BlockIo) -> Result<()> {
        let fields = [Field("blockIO.weight", None), Field("blockIO.leafWeight", None)];
        self.weights(Key(None), [block.weight, block.leaf_weight], fields)?;
        for (index, device) in block.weight_device.iter().enumerate() {
            let key = Key(Some((device.major, device.minor)));
            let field = |member| Field("blockIO.weightDevice", Some((index, member)));
            let fields = [field(".weight"), field(".leafWeight")];
            self.weights(key, [device.weight, device.leaf_weight], fields)?;
        }
        let lists = [
            &block.throttle_read_bps,
            &block.throttle_write_bps,
            &block.throttle_read_iops,
            &block.throttle_write_iops,
        ];
        let v2 = self.is_v2("blkio");
        for (list, (name, v1_file, v2_key, most)) in lists.into_iter().zip(THROTTLES) {
            let (file, what) = if v2 { ("io.max", v2_key) } else { (v1_file, "") };
            for (index, device) in list.iter().enumerate() {
                let key = Key(Some((device.major, device.minor)));
                let rate = device.rate.min(most);
                // On v1 rate 0 removes the limit.
                let rate: &dyn fmt::Display = if v2 && rate == 0 { &"max" } else { &rate };
                let field = Field(name, Some((index, "")));
                self.push(file.into(), &format_args!("{key}{what}{rate}"), field, IfMissing::Error);
            }
        }
        Ok(())
    }

    /// Adds weights. BFQ has its own file; if that scheduler is missing, the file of the other one with weights is
    /// written: on v1 that of CFQ (until linux 5.0), on v2 that of the cost model, whose weights are up to 10000.
    fn weights(&mut self, key: Key, [weight, leaf]: [Option<u16>; 2], fields: [Field; 2]) -> Result<()> {
        let [field, leaf_field] = fields;
        let set = |weight: Option<u16>| weight.filter(|weight| *weight != 0);
        let (bfq, other, leaf_file) = match key.0 {
            _ if self.is_v2("blkio") => ("io.bfq.weight", "io.weight", "blkio.leaf_weight"),
            None => ("blkio.bfq.weight", "blkio.weight", "blkio.leaf_weight"),
            Some(_) => ("blkio.bfq.weight_device", "blkio.weight_device", "blkio.leaf_weight_device"),
        };
        if let Some(weight) = set(weight) {
            if weight > MOST {
                return Err(Error::invalid(format_args!(
                    "linux.resources.{field}: {weight} is above {MOST}"
                )));
            }
            let scaled = if other == "io.weight" { io_weight(weight) } else { weight };
            for (file, weight, absent) in
                [(bfq, weight, IfMissing::TryNext), (other, scaled, IfMissing::Error)]
            {
                self.push(file.into(), &format_args!("{key}{weight}"), field, absent);
            }
        }
        match set(leaf) {
            Some(leaf) => self.put_v1(leaf_file, &format_args!("{key}{leaf}"), leaf_field),
            None => Ok(()),
        }
    }
}

/// Lists of rates: the field in the configuration, the file on v1, the key on v2, and the highest rate. The kernel
/// counts operations with 32 bits, and v1 would truncate a higher rate.
const THROTTLES: [(&str, &str, &str, u64); 4] = [
    ("blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps=", u64::MAX),
    ("blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps=", u64::MAX),
    ("blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops=", u32::MAX as u64),
    ("blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops=", u32::MAX as u64),
];

/// Converts a weight linearly from the range 10 to 1000 (v1) to 1 to 10000 (v2 `io.weight`).
fn io_weight(weight: u16) -> u16 {
    1 + (u32::from(weight.saturating_sub(10)) * 9999 / 990) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::controllers::write::table::check;
    use crate::config::resources::{Resources, ThrottleDevice, WeightDevice};
    use alloc::{format, vec};

    fn resources(block_io: BlockIo) -> Resources<'static> {
        Resources { block_io, ..Resources::default() }
    }

    #[test]
    fn weights() {
        check(&resources(BlockIo { weight: Some(0), leaf_weight: Some(0), ..BlockIo::default() }), &[], &[]);
        for (weight, other) in [(1, 1), (9, 1), (10, 1), (11, 11), (100, 910), (500, 4950), (1000, 10000)] {
            check(
                &resources(BlockIo { weight: Some(weight), ..BlockIo::default() }),
                &[&format!("blkio.bfq.weight={weight} or"), &format!("blkio.weight={weight}")],
                &[&format!("io.bfq.weight={weight} or"), &format!("io.weight={other}")],
            );
        }
        let above = "linux.resources.blockIO.weight: 1001 is above 1000";
        check(&resources(BlockIo { weight: Some(1001), ..BlockIo::default() }), &[above], &[above]);
        let leaf = BlockIo { leaf_weight: Some(10), ..BlockIo::default() };
        let none = "linux.resources.blockIO.leafWeight: cgroup v2 has no such limit";
        check(&resources(leaf), &["blkio.leaf_weight=10"], &[none]);
    }

    #[test]
    fn weights_of_devices() {
        let device = |weight, leaf_weight| WeightDevice { major: 8, minor: 16, weight, leaf_weight };
        let with = |list| resources(BlockIo { weight_device: list, ..BlockIo::default() });
        check(
            &with(vec![device(Some(500), None), device(Some(0), Some(0)), device(Some(10), None)]),
            &[
                "blkio.bfq.weight_device=8:16 500 or",
                "blkio.weight_device=8:16 500",
                "blkio.bfq.weight_device=8:16 10 or",
                "blkio.weight_device=8:16 10",
            ],
            &[
                "io.bfq.weight=8:16 500 or",
                "io.weight=8:16 4950",
                "io.bfq.weight=8:16 10 or",
                "io.weight=8:16 1",
            ],
        );
        let none = "linux.resources.blockIO.weightDevice[0].leafWeight: cgroup v2 has no such limit";
        check(&with(vec![device(None, Some(300))]), &["blkio.leaf_weight_device=8:16 300"], &[none]);
        let above = "linux.resources.blockIO.weightDevice[1].weight: 65535 is above 1000";
        check(&with(vec![device(None, None), device(Some(u16::MAX), None)]), &[above], &[above]);
    }

    #[test]
    fn throttles() {
        let rate = |rate| ThrottleDevice { major: 4095, minor: 1_048_575, rate };
        let block = BlockIo {
            throttle_read_bps: vec![rate(600), rate(0)],
            throttle_write_bps: vec![rate(u64::MAX)],
            throttle_read_iops: vec![rate(1)],
            throttle_write_iops: vec![rate(1 << 32), rate((1 << 32) - 1)],
            ..BlockIo::default()
        };
        check(
            &resources(block),
            &[
                "blkio.throttle.read_bps_device=4095:1048575 600",
                "blkio.throttle.read_bps_device=4095:1048575 0",
                "blkio.throttle.write_bps_device=4095:1048575 18446744073709551615",
                "blkio.throttle.read_iops_device=4095:1048575 1",
                "blkio.throttle.write_iops_device=4095:1048575 4294967295",
                "blkio.throttle.write_iops_device=4095:1048575 4294967295",
            ],
            &[
                "io.max=4095:1048575 rbps=600",
                "io.max=4095:1048575 rbps=max",
                "io.max=4095:1048575 wbps=18446744073709551615",
                "io.max=4095:1048575 riops=1",
                "io.max=4095:1048575 wiops=4294967295",
                "io.max=4095:1048575 wiops=4294967295",
            ],
        );
    }
}
