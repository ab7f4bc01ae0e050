//! The processes of a cgroup: listed, signalled, killed and waited for.

use alloc::format;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{self, Errno, read, write};
use rustix::process::{Pid, Signal};

use super::events;
use super::path::FullPath;
use super::tree;
use crate::error::{Error, On, Result, Show};
use crate::os::process;
use crate::sys::pidfd;
use crate::sys::signal::send;

/// The processes in a cgroup, without those in cgroups below it; of a threaded one the threads, since its processes are
/// listed only in its domain cgroup (cgroup-v2.rst, "Threads"). Empty if the cgroup has been removed.
fn processes(directory: &OwnedFd) -> Result<Vec<Pid>> {
    match members(directory, c"cgroup.procs") {
        Err(error) if error.is(Errno::OPNOTSUPP) => members(directory, c"cgroup.threads"),
        list => list,
    }
}

fn members(directory: &OwnedFd, file: &CStr) -> Result<Vec<Pid>> {
    let fd = match openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(Vec::new()),
        fd => fd.on(format_args!("openat {}", Show(file)))?,
    };
    let mut text = Vec::new();
    let mut space = [0u8; 1024];
    loop {
        match read(&fd, &mut space) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(space.get(..count).unwrap_or_default()),
            // Removed meanwhile.
            Err(Errno::NODEV) => return Ok(Vec::new()),
            Err(errno) => return Err(errno).on(format_args!("read {}", Show(file))),
        }
    }
    let number = |line: &[u8]| core::str::from_utf8(line).ok()?.parse().ok();
    Ok(text.split(|byte| *byte == b'\n').filter_map(number).filter_map(Pid::from_raw).collect())
}

/// All processes in the cgroup and below. In threaded cgroups the list has threads, also other than the first of a
/// process.
pub fn all(root: &OwnedFd, path: &str) -> Result<Vec<Pid>> {
    let mut list = Vec::new();
    tree::walk(
        root,
        path,
        &mut |directory| {
            list.extend(processes(directory)?);
            Ok(())
        },
        &mut |_, _| Ok(()),
    )?;
    Ok(list)
}

/// Whether a cgroup, without those below it, contains no process.
pub fn is_empty(directory: &OwnedFd) -> bool {
    processes(directory).is_ok_and(|processes| processes.is_empty())
}

/// Waits until the last process of a v2 cgroup has left it, which changes `populated` in cgroup.events, up to
/// [`KILL_TIMEOUT`].
///
/// Errors: EBUSY on v1, or if one does not.
#[cold]
#[inline(never)]
pub fn wait_until_unpopulated(directory: &OwnedFd) -> io::Result<()> {
    let events = openat(directory, c"cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|_| Errno::BUSY)?;
    match events::wait_for(&events, b"populated 0", KILL_TIMEOUT)? {
        true => Ok(()),
        false => Err(Errno::BUSY),
    }
}

/// Pidfds of all processes in the cgroup and below, except those that exit meanwhile. In a threaded cgroup, threads are
/// left out.
fn open_all(root: &OwnedFd, path: &str) -> Result<Vec<OwnedFd>> {
    let mut list = Vec::new();
    for pid in all(root, path)? {
        list.extend(process::open(pid)?);
    }
    Ok(list)
}

/// Waits until the processes in the cgroup and below have exited, up to `seconds` for each; `false` if one has not.
pub fn wait_for_end(root: &OwnedFd, path: &str, seconds: u32) -> Result<bool> {
    for process in open_all(root, path)? {
        if !pidfd::wait_for(&process, Some(seconds)).on(format_args!("poll"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends a signal to every process in the cgroup and below.
pub fn signal_tree(root: &OwnedFd, path: &str, signal: i32) -> Result<()> {
    for process in open_all(root, path)? {
        match send(&process, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            other => other.on(format_args!("pidfd_send_signal {signal}"))?,
        }
    }
    Ok(())
}

/// Kills all processes in the cgroup and below, including those being forked, by cgroup.kill (v2, linux 5.14); `false`
/// if that does not exist.
pub fn kill_at_once(root: &OwnedFd, path: &str) -> bool {
    openat(root, format!("{path}/cgroup.kill"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .is_ok_and(|fd| write(&fd, b"1").is_ok())
}

/// The time that a process has to exit after SIGKILL, in seconds.
pub const KILL_TIMEOUT: u32 = 10;

/// Kills all processes in the cgroup and below, and waits until they have exited.
pub fn kill(root: &OwnedFd, path: &str) -> Result<()> {
    // Repeated until no process is found, for those forked between listing and signalling; with cgroup.kill one round
    // suffices.
    loop {
        let all = open_all(root, path)?;
        if all.is_empty() {
            return Ok(());
        }
        kill_at_once(root, path);
        for process in &all {
            match send(process, Signal::KILL.as_raw()) {
                Ok(()) | Err(Errno::SRCH) => {}
                other => other.on(format_args!("pidfd_send_signal SIGKILL"))?,
            }
        }
        for process in &all {
            // A process that is held by the freezer of a cgroup above does not exit.
            if !pidfd::wait_for(process, Some(KILL_TIMEOUT)).on(format_args!("poll"))? {
                return Err(Error::invalid(format_args!(
                    "cgroup {}: a process did not exit after SIGKILL",
                    FullPath(path)
                )));
            }
        }
    }
}
