//! Access to a procfs of the host, outside of containers.
//!
//! What is mounted at /proc is used only if it is a procfs: a sandbox may have mounted something else there, or nothing.
//! Files of other processes are read only from the procfs of mote's own pid namespace, which the one at /proc need not be
//! (`unshare --pid` without `--mount-proc`): its PIDs are those of another namespace, and so of other processes. If /proc
//! is no such procfs, a new one is mounted, attached nowhere, as far as the kernel permits it (linux 5.2).

use alloc::format;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::io::read;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::error::{Error, On, Result};

/// The magic number of procfs in statfs(2) (include/uapi/linux/magic.h).
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Opens a procfs with O_PATH, for files of this process and those that do not depend on one.
pub fn open() -> Result<OwnedFd> {
    match mounted() {
        Some(proc) => Ok(proc),
        None => mount("not a procfs"),
    }
}

/// Opens the procfs of this process's pid namespace with O_PATH. `is_own`: whether /proc is known to be that.
pub fn open_own(is_own: bool) -> Result<OwnedFd> {
    let Some(proc) = mounted() else { return mount("not a procfs") };
    if is_own || is_own_procfs(&proc) {
        return Ok(proc);
    }
    drop(proc);
    mount("the procfs of another pid namespace")
}

/// [`open_own`], if it is `needed`.
#[inline(always)] // Runs in each start: see scripts/layout.ld.
pub fn open_if(needed: bool, is_own: bool) -> Result<Option<OwnedFd>> {
    match needed {
        true => open_own(is_own).map(Some),
        false => Ok(None),
    }
}

/// Fails if a path that begins with /proc does not lead to a procfs.
#[cold]
#[inline(never)]
pub fn check_path() -> Result<()> {
    let lost = || Error::invalid(format_args!("/proc is not a procfs (mount one there)"));
    mounted().map(drop).ok_or_else(lost)
}

/// What is mounted at /proc, if it is a procfs.
#[inline(always)] // As `open_if`.
fn mounted() -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(CWD, c"/proc", flags, Mode::empty()) {
        Ok(proc) if is_procfs(&proc) => Some(proc),
        _ => None,
    }
}

/// Whether an open file is in a procfs.
#[inline(always)] // As `open_if`.
pub fn is_procfs(file: &OwnedFd) -> bool {
    fstatfs(file).is_ok_and(|found| found.f_type as u64 == PROC_SUPER_MAGIC)
}

fn is_own_procfs(proc: &OwnedFd) -> bool {
    let mut space = [0u8; 1024];
    let status = openat(proc, c"self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let count = status.and_then(|status| read(&status, &mut space)).unwrap_or(0);
    let status = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
    is_of_own_namespace(status)
}

/// Whether the content of /proc/self/status is of the procfs of the process's own pid namespace: NSpid has its PIDs in
/// all pid namespaces from that of the procfs to its own (proc_pid_status(5)). In the procfs of another one that is not
/// above its own, the process has no files at all.
#[inline(always)] // As `open_if`.
pub fn is_of_own_namespace(status: &str) -> bool {
    match status.lines().find_map(|line| line.strip_prefix("NSpid:")) {
        Some(numbers) => numbers.split_ascii_whitespace().count() == 1,
        // A kernel without pid namespaces.
        None => !status.is_empty(),
    }
}

/// Mounts a procfs of this process's pid namespace, attached nowhere. `what` is /proc instead.
#[cold]
#[inline(never)]
fn mount(what: &str) -> Result<OwnedFd> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)
        .and_then(|context| {
            fsconfig_create(&context)?;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
        })
        .on(format_args!("/proc is {what} (mount one there, mount -t proc proc /proc), fsopen proc"))
}

/// Reads the beginning of the file `/proc/PID/NAME` (proc(5)), as far as `space` permits.
pub fn read_process_file<'s>(pid: i32, name: &str, space: &'s mut [u8]) -> Result<&'s [u8]> {
    read_file(open_own(false)?, &format!("{pid}/{name}"), space)
}

/// Reads the beginning of the file `/proc/self/NAME`, likewise.
pub fn read_own_file<'s>(name: &str, space: &'s mut [u8]) -> Result<&'s [u8]> {
    read_file(open()?, &format!("self/{name}"), space)
}

fn read_file<'s>(proc: OwnedFd, path: &str, space: &'s mut [u8]) -> Result<&'s [u8]> {
    let file = openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/{path}"))?;
    let count = read(&file, &mut *space).on(format_args!("read /proc/{path}"))?;
    Ok(space.get(..count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::is_of_own_namespace;

    #[test]
    fn own_pid_namespace() {
        assert!(is_of_own_namespace("Name:\tx\nNSpid:\t7\nNSpgid:\t7\n"));
        assert!(!is_of_own_namespace("Name:\tx\nNSpid:\t700\t7\nNSpgid:\t700\t7\n"));
        assert!(is_of_own_namespace("Name:\tx\n"));
        assert!(!is_of_own_namespace(""));
    }
}
