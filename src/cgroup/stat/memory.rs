//! Statistics of memory, huge pages and processes (cgroup-v1/memory.rst, hugetlb.rst, pids.rst). Memory and huge pages
//! are in bytes.

use core::mem::MaybeUninit;

use rustix::fs::{Mode, RawDir, openat};

use super::files::{DIRECTORY, Files, lines, number, value};

/// One kind of memory: its limit, its usage, the highest usage, and the number of times the limit was hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub limit: u64,
    pub usage: u64,
    pub max: u64,
    pub failures: u64,
}

/// The memory statistics of a cgroup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The page cache.
    pub cache: u64,
    pub usage: Amount,
    /// Memory plus swap.
    pub swap: Amount,
    pub kernel: Amount,
    pub kernel_tcp: Amount,
}

impl Files {
    /// Reads the memory statistics.
    pub fn memory(&mut self) -> Memory {
        let stat = self.text(&["memory.stat"]).unwrap_or_default();
        // `cache` is the name on v1, `file` on v2.
        let cache = value(stat, "cache").max(value(stat, "file"));
        match self.text(&["memory.current"]).map(number) {
            Some(usage) => self.memory_v2(cache, usage),
            None => Memory {
                cache,
                usage: self.amount(&["memory", "", ""]),
                swap: self.amount(&["memory.memsw", "", ""]),
                kernel: self.amount(&["memory.kmem", "", ""]),
                kernel_tcp: self.amount(&["memory.kmem.tcp", "", ""]),
            },
        }
    }

    /// Reads an amount from v1 files whose names begin with these parts.
    fn amount(&mut self, [a, b, c]: &[&str; 3]) -> Amount {
        let mut value = |name| self.number(&[a, b, c, name]);
        Amount {
            limit: value(".limit_in_bytes"),
            usage: value(".usage_in_bytes"),
            max: value(".max_usage_in_bytes"),
            failures: value(".failcnt"),
        }
    }

    /// Reads the statistics of v2. It counts swap alone, so the sum of memory and swap, which v1 counts, is calculated;
    /// a highest usage of the sum is not known. The highest usage of memory exists since linux 5.19.
    fn memory_v2(&mut self, cache: u64, usage: u64) -> Memory {
        let mut value = |name| self.number(&["memory", name]);
        let usage = Amount { limit: value(".max"), usage, max: value(".peak"), failures: 0 };
        let swap = Amount {
            // `max` plus anything remains `max`.
            limit: usage.limit.saturating_add(value(".swap.max")),
            usage: usage.usage.saturating_add(value(".swap.current")),
            ..Amount::default()
        };
        Memory { cache, usage, swap, ..Memory::default() }
    }

    /// Calls `each` for every line of `memory.stat`.
    pub fn memory_all(&mut self, each: &mut dyn FnMut(&str, u64)) {
        let text = self.text(&["memory.stat"]).unwrap_or_default();
        lines(text).for_each(|(name, value)| each(name, value));
    }

    /// The number of processes and threads, and its limit: 0 for none.
    pub fn pids(&mut self) -> (u64, u64) {
        let current = match self.text(&["pids.current"]).map(number) {
            Some(current) => current,
            // Without the controller, the processes of the cgroup itself are counted.
            None => self.text(&["cgroup.procs"]).map_or(0, |text| text.lines().count() as u64),
        };
        (current, Some(self.number(&["pids.max"])).filter(|limit| *limit < u64::MAX).unwrap_or(0))
    }

    /// Calls `each` with each huge page size, in the kernel's spelling (`2MB`), and the bytes in use or reserved.
    /// Without limits on v2.
    pub fn huge(&mut self, each: &mut dyn FnMut(&str, Amount)) {
        // Opened again: a directory fd has a position, at which listing continues.
        let open = |directory| openat(directory, c".", DIRECTORY, Mode::empty()).ok();
        let Some(directory) = self.directories(b"hugetlb").find_map(open) else { return };
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(directory, &mut space);
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name().to_str().unwrap_or_default();
            let parts = name.strip_prefix("hugetlb.").and_then(|rest| rest.split_once('.'));
            // Each page size has exactly one of these files.
            match parts {
                Some((size, "rsvd.usage_in_bytes")) => each(size, self.amount(&["hugetlb.", size, ".rsvd"])),
                Some((size, "rsvd.current")) => each(size, self.huge_v2(size)),
                _ => {}
            }
        }
    }

    fn huge_v2(&mut self, size: &str) -> Amount {
        let usage = self.number(&["hugetlb.", size, ".rsvd.current"]);
        let events = self.text(&["hugetlb.", size, ".events"]).unwrap_or_default();
        Amount { usage, failures: value(events, "max"), ..Amount::default() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::cgroup::stat::files::tests::with;

    #[test]
    fn memory_v1() {
        let list = [
            ("memory.stat", "cache 4096\nrss 57344\nodd\nswap -3\nhierarchical_memory_limit 67108864\n"),
            ("memory.usage_in_bytes", "569344\n"),
            ("memory.max_usage_in_bytes", "2269184\n"),
            ("memory.failcnt", "3\n"),
            ("memory.limit_in_bytes", "67108864\n"),
            ("memory.memsw.usage_in_bytes", "569345\n"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("memory.kmem.usage_in_bytes", "266240\n"),
            ("memory.kmem.tcp.failcnt", "1\n"),
        ];
        with(false, &list, |files| {
            let memory = Memory {
                cache: 4096,
                usage: Amount { limit: 67_108_864, usage: 569_344, max: 2_269_184, failures: 3 },
                swap: Amount { limit: 9_223_372_036_854_771_712, usage: 569_345, ..Amount::default() },
                kernel: Amount { usage: 266_240, ..Amount::default() },
                kernel_tcp: Amount { failures: 1, ..Amount::default() },
            };
            assert_eq!(files.memory(), memory);
            let mut all = Vec::new();
            files.memory_all(&mut |name, value| all.push((String::from(name), value)));
            let expected =
                [("cache", 4096), ("rss", 57344), ("swap", 0), ("hierarchical_memory_limit", 67_108_864)];
            assert_eq!(all, expected.map(|(name, value)| (String::from(name), value)));
        });
        with(false, &[], |files| {
            assert_eq!(files.memory(), Memory::default());
            files.memory_all(&mut |name, _| panic!("{name}"));
        });
    }

    #[test]
    fn memory_v2() {
        // memory.max, memory.swap.max; the limits of memory, and of memory plus swap.
        let table = [
            (Some("max\n"), Some("max\n"), u64::MAX, u64::MAX),
            (Some("1000\n"), Some("500\n"), 1000, 1500),
            (Some("1000\n"), Some("max\n"), 1000, u64::MAX),
            (Some("max\n"), Some("500\n"), u64::MAX, u64::MAX),
            (Some("1000\n"), None, 1000, 1000),
            (None, None, 0, 0),
        ];
        for (max, swap_max, limit, both) in table {
            let mut list = Vec::from([("memory.current", "70\n"), ("memory.peak", "90\n")]);
            list.extend(max.map(|text| ("memory.max", text)));
            list.extend(swap_max.map(|text| ("memory.swap.max", text)));
            list.extend([("memory.swap.current", "5\n"), ("memory.stat", "anon 60\nfile 10\n")]);
            with(true, &list, |files| {
                let memory = files.memory();
                assert_eq!(memory.usage, Amount { limit, usage: 70, max: 90, failures: 0 });
                assert_eq!(memory.swap, Amount { limit: both, usage: 75, ..Amount::default() });
                assert_eq!((memory.cache, memory.kernel), (10, Amount::default()));
            });
        }
    }

    #[test]
    fn processes() {
        let (current, max, none) = (("pids.current", "3\n"), ("pids.max", "50\n"), ("pids.max", "max\n"));
        let procs = ("cgroup.procs", "12\n13\n");
        let table = [
            (&[current, max][..], (3, 50)),
            (&[current, none], (3, 0)),
            (&[procs], (2, 0)),
            (&[current, procs], (3, 0)),
            (&[], (0, 0)),
        ];
        for (list, expected) in table {
            with(true, list, |files| assert_eq!(files.pids(), expected, "{list:?}"));
        }
    }

    fn huge(files: &mut Files) -> Vec<(String, [u64; 3])> {
        let mut all = Vec::new();
        files.huge(&mut |size, amount| {
            all.push((String::from(size), [amount.usage, amount.max, amount.failures]));
        });
        all.sort_unstable();
        all
    }

    #[test]
    fn huge_pages() {
        let v2 = [
            ("hugetlb.2MB.events", "max 4\n"),
            ("hugetlb.2MB.current", "2097152\n"),
            ("hugetlb.2MB.rsvd.current", "4194304\n"),
            ("hugetlb.1GB.rsvd.current", "0\n"),
            ("hugetlb.1GB.numa_stat", "total=0 N0=0\n"),
            ("memory.current", "1\n"),
        ];
        with(true, &v2, |files| {
            assert_eq!(huge(files), [("1GB".into(), [0, 0, 0]), ("2MB".into(), [4_194_304, 0, 4])]);
        });
        let v1 = [
            ("hugetlb.64KB.rsvd.usage_in_bytes", "1\n"),
            ("hugetlb.64KB.rsvd.max_usage_in_bytes", "2\n"),
            ("hugetlb.64KB.rsvd.failcnt", "3\n"),
            ("hugetlb.64KB.usage_in_bytes", "4\n"),
            ("hugetlb.32MB.rsvd.usage_in_bytes", "5\n"),
        ];
        with(false, &v1, |files| {
            assert_eq!(huge(files), [("32MB".into(), [5, 0, 0]), ("64KB".into(), [1, 2, 3])]);
        });
        with(true, &[], |files| assert_eq!(huge(files), []));
    }
}
