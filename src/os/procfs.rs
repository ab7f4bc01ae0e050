//! Access to the host's procfs.

use alloc::format;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::io::read;

use crate::error::{Error, On, Result};

/// The magic number of procfs in statfs(2) (include/uapi/linux/magic.h).
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Opens /proc with O_PATH, and checks that it is a procfs.
pub fn open() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, c"/proc", flags, Mode::empty()).on(format_args!("openat /proc"))?;
    let magic = fstatfs(&proc).on(format_args!("fstatfs /proc"))?.f_type;
    match magic as u64 == PROC_SUPER_MAGIC {
        true => Ok(proc),
        false => Err(Error::invalid(format_args!("/proc is not a procfs"))),
    }
}

/// Reads the beginning of the file `/proc/PID/NAME` (proc(5)), as far as `space` permits.
pub fn read_process_file<'s>(pid: i32, name: &str, space: &'s mut [u8]) -> Result<&'s [u8]> {
    let path = format!("{pid}/{name}");
    let file = openat(open()?, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /proc/{path}"))?;
    let count = read(&file, &mut *space).on(format_args!("read /proc/{path}"))?;
    Ok(space.get(..count).unwrap_or_default())
}
