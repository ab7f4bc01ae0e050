//! The processes of a cgroup: listed, signalled, killed and waited for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};
use rustix::io::{Errno, read, write};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::error::{On, Result};
use crate::sys::signal::send;

/// The processes in the cgroup at `path` below `root`, not those in cgroups below it. None when it is gone.
pub fn processes(root: &OwnedFd, path: &str) -> Result<Vec<Pid>> {
    let file = format!("{path}/cgroup.procs");
    let fd = match openat(root, file.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        fd => fd.on(format_args!("openat {file}"))?,
    };
    let mut text = Vec::new();
    let mut space = [0u8; 1024];
    loop {
        match read(&fd, &mut space) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(space.get(..count).unwrap_or_default()),
            // Removed meanwhile.
            Err(Errno::NODEV) => return Ok(Vec::new()),
            // A threaded cgroup: its processes are listed where its domain is (cgroup-v2.rst).
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(errno) => return Err(errno).on(format_args!("read {file}")),
        }
    }
    let number = |line: &[u8]| core::str::from_utf8(line).ok()?.parse().ok();
    Ok(text.split(|byte| *byte == b'\n').filter_map(number).filter_map(Pid::from_raw).collect())
}

/// The cgroup and every one below it.
fn tree(root: &OwnedFd, path: &str, list: &mut Vec<String>) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(directory) = openat(root, path, flags, Mode::empty()) else { return };
    list.push(path.into());
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(directory, &mut space);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_str().unwrap_or_default();
        if entry.file_type() == FileType::Directory && name != "." && name != ".." {
            tree(root, &format!("{path}/{name}"), list);
        }
    }
}

/// Pidfds of every process in the cgroup and below. One that ends meanwhile is left out.
fn open_all(root: &OwnedFd, path: &str) -> Result<Vec<OwnedFd>> {
    let mut paths = Vec::new();
    tree(root, path, &mut paths);
    let mut list = Vec::new();
    for path in &paths {
        for pid in processes(root, path)? {
            match pidfd_open(pid, PidfdFlags::empty()) {
                Err(Errno::SRCH | Errno::INVAL) => {}
                fd => list.push(fd.on(format_args!("pidfd_open {}", pid.as_raw_nonzero()))?),
            }
        }
    }
    Ok(list)
}

/// Sends a signal to every process in the cgroup and below.
pub fn signal_tree(root: &OwnedFd, path: &str, signal: i32) -> Result<()> {
    // linux 5.14: all at once, those below and those just being forked too.
    if signal == Signal::KILL.as_raw() && write_file(root, &format!("{path}/cgroup.kill"), b"1") {
        return Ok(());
    }
    for process in open_all(root, path)? {
        match send(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            other => other.on(format_args!("pidfd_send_signal {signal}"))?,
        }
    }
    Ok(())
}

/// Kills every process in the cgroup and below, and waits for each to end.
pub fn kill(root: &OwnedFd, path: &str) -> Result<()> {
    // One more round for those that were forked between the listing and the signal; they end as soon as
    // a round finds nobody, and cgroup.kill needs but one.
    loop {
        let all = open_all(root, path)?;
        if all.is_empty() {
            return Ok(());
        }
        signal_tree(root, path, Signal::KILL.as_raw())?;
        for process in &all {
            match send(process, Signal::KILL.as_raw()) {
                Ok(()) | Err(Errno::SRCH) => {}
                other => other.on(format_args!("pidfd_send_signal SIGKILL"))?,
            }
        }
        for process in &all {
            let mut fds = [PollFd::new(process, PollFlags::IN)];
            while let Err(Errno::INTR) = poll(&mut fds, None) {}
        }
    }
}

fn write_file(root: &OwnedFd, path: &str, text: &[u8]) -> bool {
    openat(root, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .is_ok_and(|fd| write(&fd, text).is_ok())
}
