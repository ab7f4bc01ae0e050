//! ioctl(2) requests about namespaces (ioctl_ns(2), pidfd_open(2)).

use core::ptr::null_mut;

use linux_raw_sys::general::__NR_ioctl;
use linux_raw_sys::ioctl::{NS_GET_NSTYPE, NS_GET_USERNS};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Result;
use rustix::ioctl::opcode;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

/// The `CLONE_NEW*` flag of a namespace. Errors: ENOTTY if the file is none.
pub(crate) fn kind(namespace: &OwnedFd) -> Result<u32> {
    request(namespace, NS_GET_NSTYPE).map(|flag| flag as u32)
}

/// Opens the user namespace that owns a namespace. Errors: EPERM if that is neither the one of this process nor below it.
pub(crate) fn owner(namespace: &OwnedFd) -> Result<OwnedFd> {
    open(namespace, NS_GET_USERNS)
}

/// Opens the user namespace of this process without procfs. Errors: ENOTTY or EINVAL before linux 6.11.
#[cold]
#[inline(never)]
pub(crate) fn own_user() -> Result<OwnedFd> {
    open(&pidfd_open(getpid(), PidfdFlags::empty())?, PIDFD_GET_USER_NAMESPACE)
}

/// `_IO(PIDFS_IOCTL_MAGIC, 9)` of include/uapi/linux/pidfd.h.
const PIDFD_GET_USER_NAMESPACE: u32 = opcode::none(0xff, 9);

/// A request that returns a new file descriptor.
fn open(file: &OwnedFd, number: u32) -> Result<OwnedFd> {
    let fd = request(file, number)?;
    // SAFETY: the kernel has just opened it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn request(file: &OwnedFd, number: u32) -> Result<usize> {
    let (fd, nothing) = (file.as_raw_fd() as usize, null_mut::<u8>() as usize);
    // SAFETY: none of the requests has an argument.
    super::check(unsafe { super::raw::syscall3(__NR_ioctl as usize, fd, number as usize, nothing) })
}
