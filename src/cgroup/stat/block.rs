//! Statistics of block devices (cgroup-v1/blkio-controller.rst; cgroup-v2.rst, "IO Interface Files").

use super::files::{Files, number};

/// One counter of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer<'t> {
    pub major: u64,
    pub minor: u64,
    /// `Read`, `Write`, and others with v1; empty for counters that exist only as a sum.
    pub direction: &'t str,
    pub value: u64,
}

impl Files {
    /// Calls `each` for all counters with the v1 name `name`, such as `io_service_bytes`. On v1 two files may count the
    /// same requests: that of the BFQ scheduler, and that of the throttle, which counts only bytes and requests. The
    /// first that is not empty is used.
    pub fn transfers(&mut self, name: &str, each: &mut dyn FnMut(Transfer<'_>)) {
        for layer in ["bfq.", "throttle."] {
            if transfers(self.text(&["blkio.", layer, name, "_recursive"]).unwrap_or_default(), each) {
                return;
            }
        }
        transfers_v2(self.text(&["io.stat"]).unwrap_or_default(), name, each);
    }
}

/// Parses lines `8:0 Read 4096` or `8:0 4096` of v1, and returns whether there are any. Other lines, such as the sum of
/// all devices at the end of some files, are skipped.
fn transfers(text: &str, each: &mut dyn FnMut(Transfer<'_>)) -> bool {
    let mut any = false;
    for (major, minor, rest) in devices(text) {
        let (direction, value) = rest.split_once(' ').unwrap_or(("", rest));
        each(Transfer { major, minor, direction, value: number(value) });
        any = true;
    }
    any
}

/// Parses lines `8:0 rbytes=4096 wbytes=0 rios=1 wios=0` of v2: the words that correspond to the v1 name `name`.
fn transfers_v2(text: &str, name: &str, each: &mut dyn FnMut(Transfer<'_>)) {
    for (major, minor, rest) in devices(text) {
        for (word, value) in rest.split(' ').filter_map(|word| word.split_once('=')) {
            let (counted, direction) = match word {
                "rbytes" => ("io_service_bytes", "Read"),
                "wbytes" => ("io_service_bytes", "Write"),
                "rios" => ("io_serviced", "Read"),
                "wios" => ("io_serviced", "Write"),
                _ => continue,
            };
            if counted == name {
                each(Transfer { major, minor, direction, value: number(value) });
            }
        }
    }
}

/// The lines that begin with device numbers: major, minor, rest.
fn devices(text: &str) -> impl Iterator<Item = (u64, u64, &str)> {
    text.lines().filter_map(|line| {
        let (device, rest) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        Some((number(major), number(minor), rest))
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::cgroup::stat::files::tests::with;

    /// The counters as (minor number, direction, value).
    fn all(files: &mut Files, name: &str) -> Vec<(u64, String, u64)> {
        let mut all = Vec::new();
        files.transfers(name, &mut |Transfer { major, minor, direction, value }| {
            assert_eq!(major, 8);
            all.push((minor, direction.into(), value));
        });
        all
    }

    #[test]
    fn v1() {
        let list = [
            ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:16 Read 4096\n8:16 Total 4096\nodd\nTotal 4096\n",
            ),
            ("blkio.bfq.io_serviced_recursive", "8:0 Write 7\n"),
            ("blkio.throttle.io_serviced_recursive", "8:0 Write 9\n"),
            ("blkio.bfq.sectors_recursive", "8:0 5\n8:1 99999999999999999999\n"),
        ];
        with(false, &list, |files| {
            let bytes = [(16, "Read".into(), 4096), (16, "Total".into(), 4096)];
            assert_eq!(all(files, "io_service_bytes"), bytes);
            assert_eq!(all(files, "io_serviced"), [(0, "Write".into(), 7)]);
            assert_eq!(all(files, "sectors"), [(0, "".into(), 5), (1, "".into(), u64::MAX)]);
            assert_eq!(all(files, "time"), []);
        });
    }

    #[test]
    fn v2() {
        let stat =
            "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:0 \nodd rbytes=1\n8:1 wios=max x=7\n";
        with(true, &[("io.stat", stat)], |files| {
            let bytes = [(16, "Read".into(), 1), (16, "Write".into(), 2)];
            assert_eq!(all(files, "io_service_bytes"), bytes);
            let requests = [(16, "Read".into(), 3), (16, "Write".into(), 4), (1, "Write".into(), u64::MAX)];
            assert_eq!(all(files, "io_serviced"), requests);
            assert_eq!(all(files, "sectors"), []);
        });
    }
}
