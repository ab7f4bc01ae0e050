//! The system call getcwd(2), without a C library: that would turn "(unreachable)" into an error.

use linux_raw_sys::general::__NR_getcwd;
use rustix::io::Result;

/// The path of the working directory; it does not begin with '/' if the directory is not below the root directory.
///
/// Errors: ERANGE if the path does not fit into `space`.
pub fn getcwd(space: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most the length that is passed.
    let returned =
        unsafe { super::raw::syscall2(__NR_getcwd as usize, space.as_mut_ptr() as usize, space.len()) };
    let length = super::check(returned)?;
    Ok(space.get(..length.saturating_sub(1)).unwrap_or_default())
}
