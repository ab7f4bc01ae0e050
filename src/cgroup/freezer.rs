//! The freezer, which stops all processes of a cgroup (cgroup-v2.rst, cgroup.freeze; v1: freezer-subsystem.rst).

use alloc::format;
use alloc::string::String;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, pread, read, write};
use rustix::thread::sched_yield;

use super::directory::Hierarchies;
use crate::error::{Error, On, Result};

/// Whether the freezer holds a cgroup's processes, or is about to. Asked for with each `state`, so the file is looked
/// for wherever a layout may have it: that is less to do than to find out the layout.
pub fn is_frozen(path: &str) -> Result<bool> {
    let mut space = [0u8; 16];
    for [hierarchy, name] in
        [["/freezer", "freezer.state"], ["/unified", "cgroup.freeze"], ["", "cgroup.freeze"]]
    {
        let file = format!("/sys/fs/cgroup{hierarchy}{path}/{name}");
        let text = match openat(CWD, file.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Ok(fd) => read(&fd, &mut space[..]),
            Err(errno) => Err(errno),
        };
        match text {
            // The cgroup was removed meanwhile.
            Err(Errno::NODEV) => return Ok(false),
            text => {
                let text = space.get(..text.on(format_args!("read {file}"))?).unwrap_or_default();
                return Ok(matches!(text.trim_ascii(), b"1" | b"FROZEN" | b"FREEZING"));
            }
        }
    }
    Ok(false)
}

impl Hierarchies {
    /// The freezer's file: (name, the word for frozen, the word for not).
    fn freezer(&self, path: &str) -> Option<(String, [&'static str; 2])> {
        let v1 = self.v1.iter().any(|name| name == "freezer");
        match self.v2 {
            _ if v1 => Some((format!("freezer{path}/freezer.state"), ["THAWED", "FROZEN"])),
            Some(v2) => Some((format!("{v2}{path}/cgroup.freeze"), ["0", "1"])),
            None => None,
        }
    }

    /// So that no process can fork away from a signal. `false` where there is no freezer, or it was
    /// frozen already, and is to stay so.
    pub(super) fn freeze(&self, path: &str, on: bool) -> bool {
        !(on && is_frozen(path).unwrap_or(false)) && self.write_freezer(path, on).is_ok()
    }

    /// Tells the freezer, by the file whose path is given back; it takes its time.
    fn write_freezer(&self, path: &str, on: bool) -> Result<String> {
        let Some((file, words)) = self.freezer(path) else {
            return Err(Error::unsupported(format_args!(
                "no freezer: cgroup v2 or its v1 hierarchy is needed"
            )));
        };
        let word = words.get(usize::from(on)).copied().unwrap_or_default();
        let fd = self.open_to_write(&file)?;
        write(&fd, word.as_bytes()).on(format_args!("write {word} to {file}"))?;
        Ok(file)
    }

    /// Freezes the cgroup and comes back when nothing runs in it, or thaws it. When it fails, it is thawed.
    pub fn set_frozen(&self, path: &str, on: bool) -> Result<()> {
        let file = self.write_freezer(path, on)?;
        if !on || self.wait_until_frozen(path, &file)? {
            return Ok(());
        }
        self.freeze(path, false);
        Err(Error::invalid(format_args!("cgroup {path}: some of its processes cannot be frozen")))
    }

    /// v2 tells by an event on cgroup.events. v1 tells nobody, and looks only when it is asked: so it is asked,
    /// while its processes are let run to where they stop, for a bounded number of times.
    fn wait_until_frozen(&self, path: &str, file: &str) -> Result<bool> {
        let v2 = self.v2.filter(|_| file.ends_with("cgroup.freeze"));
        let Some(v2) = v2 else {
            for _ in 0..10_000 {
                if self.read(file)?.trim() == "FROZEN" {
                    return Ok(true);
                }
                sched_yield();
            }
            return Ok(false);
        };
        let events = format!("{v2}{path}/cgroup.events");
        let fd = openat(&self.root, events.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .on(format_args!("openat {events}"))?;
        loop {
            let mut space = [0u8; 256];
            let count = pread(&fd, &mut space, 0).on(format_args!("read {events}"))?;
            let text = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
            if text.lines().any(|line| line == "frozen 1") {
                return Ok(true);
            }
            // A process in uninterruptible sleep may keep it waiting for ever.
            let mut fds = [PollFd::new(&fd, PollFlags::PRI)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::system(errno, format_args!("poll {events}"))),
            }
        }
    }
}
