//! The statistics files of a cgroup, and the values in them.

use alloc::format;
use alloc::vec::Vec;
use core::num::{IntErrorKind, ParseIntError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{self, Errno};

use crate::cgroup::handle::Cgroup;

/// The controllers whose v1 files are read.
const CONTROLLERS: [&str; 7] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb"];

pub const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The files of one cgroup. Each is read on request into the same buffer, so that repeated reads do not use more
/// memory: mote's allocator never frees.
pub struct Files {
    v1: Vec<(&'static str, OwnedFd)>,
    v2: Option<OwnedFd>,
    bytes: Vec<u8>,
}

impl Files {
    /// Opens the directories of a cgroup; hierarchies in which it does not exist are left out.
    pub fn open(cgroup: &Cgroup) -> Self {
        let Cgroup { hierarchies, path, .. } = cgroup;
        let open = |place: &str| {
            let full_path = format!("{place}{path}");
            openat(&hierarchies.root, full_path.as_str(), DIRECTORY, Mode::empty()).ok()
        };
        let mut v1 = Vec::with_capacity(CONTROLLERS.len());
        for name in CONTROLLERS {
            v1.extend(hierarchies.v1_of(name).and_then(open).map(|directory| (name, directory)));
        }
        Files { v1, v2: hierarchies.v2.and_then(open), bytes: Vec::new() }
    }

    /// The directories that may contain the files of a controller, v1 first.
    pub fn directories(&self, controller: &[u8]) -> impl Iterator<Item = BorrowedFd<'_>> {
        let v1 =
            self.v1.iter().find(|(name, _)| name.as_bytes() == controller).map(|(_, directory)| directory);
        v1.into_iter().chain(&self.v2).map(AsFd::as_fd)
    }

    /// The content of a file, whose name is given in parts and begins with the controller; `None` if it cannot be read.
    pub fn text(&mut self, name: &[&str]) -> Option<&str> {
        let mut bytes = core::mem::take(&mut self.bytes);
        bytes.clear();
        name.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        let controller = bytes.split(|byte| *byte == b'.').next().unwrap_or_default();
        let open =
            |directory| openat(directory, &*bytes, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        let file = self.directories(controller).find_map(open);
        bytes.clear();
        let read = file.map(|file| read(&file, &mut bytes));
        self.bytes = bytes;
        // Removed meanwhile, or PSI is disabled.
        read?.ok()?;
        core::str::from_utf8(&self.bytes).ok()
    }

    /// The number that is the content of a file; 0 if there is no such file.
    pub fn number(&mut self, name: &[&str]) -> u64 {
        self.text(name).map_or(0, number)
    }
}

/// Appends the content of a file to `bytes`.
fn read(file: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut space = [0u8; 4096];
    loop {
        match io::read(file, &mut space) {
            Ok(0) => return Ok(()),
            Ok(count) => bytes.extend_from_slice(space.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Parses a number of the kernel: `max` is `u64::MAX`; negative numbers, which v1 sometimes prints, and invalid ones
/// are 0.
pub fn number(text: &str) -> u64 {
    match text.trim_ascii() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_else(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => u64::MAX,
            _ => 0,
        }),
    }
}

/// The lines `name number` of a text.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, u64)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name, number(value)))
}

/// The number in the line of this name; 0 if there is none.
pub fn value(text: &str, name: &str) -> u64 {
    lines(text).find(|(one, _)| *one == name).map_or(0, |(_, value)| value)
}

#[cfg(test)]
pub(crate) mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::path::PathBuf;
    use std::{env, fs, process};

    use super::*;

    /// A directory that is removed at the end of a test, also if it fails.
    struct TempDir(PathBuf);

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Calls a function with files of these contents, in v1 hierarchies or in a v2 one.
    pub fn with(is_v2: bool, list: &[(&str, &str)], test: impl FnOnce(&mut Files)) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = TempDir(env::temp_dir().join(format!("mote-stat-{}-{number}", process::id())));
        fs::create_dir(&place.0).unwrap();
        list.iter().for_each(|(file, content)| fs::write(place.0.join(file), content).unwrap());
        let open = || openat(rustix::fs::CWD, place.0.to_str().unwrap(), DIRECTORY, Mode::empty()).unwrap();
        let v1 = CONTROLLERS.into_iter().filter(|_| !is_v2).map(|name| (name, open())).collect();
        test(&mut Files { v1, v2: is_v2.then(open), bytes: Vec::new() });
    }

    #[test]
    fn numbers() {
        let table = [
            ("0\n", 0),
            (" 17 \n", 17),
            ("max\n", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("-5\n", 0),
            ("-99999999999999999999", 0),
            ("", 0),
            ("1 2", 0),
            ("nan", 0),
        ];
        for (text, expected) in table {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_of_names_and_numbers() {
        let text = "a 1\n\nb\n 2\nc max\nd -1\ne 3 4\noom_group_kill 9\noom_kill 7";
        let all: Vec<_> = lines(text).collect();
        let expected =
            [("a", 1), ("c", u64::MAX), ("d", 0), ("e", 0), ("oom_group_kill", 9), ("oom_kill", 7)];
        assert_eq!(all, expected);
        assert_eq!((value(text, "oom_kill"), value(text, "b")), (7, 0));
    }

    #[test]
    fn files_by_their_names() {
        with(true, &[("memory.swap.max", "5\n"), ("pids.max", ""), ("io.max", "x")], |files| {
            assert_eq!(files.text(&["memory", ".swap", ".max"]), Some("5\n"));
            assert_eq!(files.number(&["memory.swap.max"]), 5);
            assert_eq!(files.text(&["memory.swap"]), None);
            assert_eq!(files.text(&["pids.max"]), Some(""));
            assert_eq!(files.number(&["pids.max"]), 0);
        });
        // v1 has a hierarchy for each.
        with(false, &[("io.max", "x"), ("pids.max", "max")], |files| {
            assert_eq!(files.text(&["io.max"]), None);
            assert_eq!(files.number(&["pids.max"]), u64::MAX);
        });
    }
}
