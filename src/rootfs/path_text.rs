//! Path operations on text, in buffers of fixed size, because the child does not allocate memory.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result as Raw};

/// The file at a name, opened with O_PATH.
pub enum Found {
    /// Anything but a symbolic link.
    Here(OwnedFd),
    /// A symbolic link itself.
    Link(OwnedFd),
}

/// `PATH_MAX` of include/uapi/linux/limits.h, with the NUL.
pub const PATH_MAX: usize = 4096;

/// The number of symbolic links that the kernel follows in one path (path_resolution(7)).
pub const MAX_LINKS: usize = 40;

/// Writes to `next` the path in which the link that begins at byte `at` is replaced by its target.
pub fn through_link(path: &[u8], at: usize, target: &[u8], next: &mut [u8; PATH_MAX]) -> Raw<()> {
    let (name, _) = first_name(path, at);
    let before = if target.starts_with(b"/") { &[] } else { path.get(..at).unwrap_or_default() };
    join(next, &[before, target, path.get(at + name.len()..).unwrap_or_default()]).map(drop)
}

/// The name that begins at byte `at`, and the position of the next name.
pub fn first_name(path: &[u8], at: usize) -> (&[u8], usize) {
    let rest = path.get(at..).unwrap_or_default();
    let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    (name, skip_slashes(path, at + name.len()))
}

/// The position of the first byte at or after `at` that is not a slash.
pub fn skip_slashes(path: &[u8], at: usize) -> usize {
    at + path.iter().skip(at).take_while(|byte| **byte == b'/').count()
}

/// Whether a path is the root by its text alone (`/`, `/.`, `//..`).
pub fn is_root(path: &CStr) -> bool {
    path.to_bytes().split(|byte| *byte == b'/').all(|name| matches!(name, b"" | b"." | b".."))
}

/// Concatenates the parts of a path in a buffer, followed by a NUL. Errors: ENAMETOOLONG.
pub fn join<'s>(space: &'s mut [u8; PATH_MAX], parts: &[&[u8]]) -> Raw<&'s CStr> {
    if parts.iter().map(|part| part.len()).sum::<usize>() >= PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let bytes = parts.iter().copied().flatten().chain(&[0]);
    for (place, byte) in space.iter_mut().zip(bytes) {
        *place = *byte;
    }
    Ok(text(space))
}

/// The bytes of a buffer up to the first NUL.
pub fn text(space: &[u8]) -> &CStr {
    CStr::from_bytes_until_nul(space).unwrap_or_default()
}
