//! Questions to the kernel about a namespace that is open (ioctl_ns(2)).

use core::ptr::null_mut;

use linux_raw_sys::general::__NR_ioctl;
use linux_raw_sys::ioctl::{NS_GET_NSTYPE, NS_GET_USERNS};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Result;

/// The `CLONE_NEW*` flag of a namespace. Errors: ENOTTY if the file is none.
pub(crate) fn kind(namespace: &OwnedFd) -> Result<u32> {
    request(namespace, NS_GET_NSTYPE).map(|flag| flag as u32)
}

/// Opens the user namespace that owns a namespace. Errors: EPERM if that is neither the one of this process nor below it.
pub(crate) fn owner(namespace: &OwnedFd) -> Result<OwnedFd> {
    let fd = request(namespace, NS_GET_USERNS)?;
    // SAFETY: the kernel has just opened it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn request(namespace: &OwnedFd, question: u32) -> Result<usize> {
    let (fd, nothing) = (namespace.as_raw_fd() as usize, null_mut::<u8>() as usize);
    // SAFETY: neither question has an argument.
    super::check(unsafe { sc::syscall3(__NR_ioctl as usize, fd, question as usize, nothing) })
}
