//! getcwd(2) as the kernel has it: a C library turns "(unreachable)" into an error.

use linux_raw_sys::general::__NR_getcwd;
use rustix::io::Result;

/// The working directory's path; it does not begin with '/' when it cannot be reached from the root.
pub fn getcwd(space: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most the length that it is given.
    let returned = unsafe { sc::syscall2(__NR_getcwd as usize, space.as_mut_ptr() as usize, space.len()) };
    let length = super::check(returned)?;
    Ok(space.get(..length.saturating_sub(1)).unwrap_or_default())
}
