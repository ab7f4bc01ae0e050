//! Paths as text in buffers of fixed size, since the child does not allocate.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result as Raw};

/// What was found or made at a name.
pub enum Found {
    Here(OwnedFd),
    Link(OwnedFd),
}

/// `PATH_MAX` of include/uapi/linux/limits.h, with the NUL.
pub const PATH_MAX: usize = 4096;

/// As many as the kernel follows (path_resolution(7)).
pub const MAX_LINKS: usize = 40;

/// Writes into `next` the path with the link at `at` replaced by its target.
pub fn through_link(path: &[u8], at: usize, target: &[u8], next: &mut [u8; PATH_MAX]) -> Raw<()> {
    let (name, _) = first_name(path, at);
    let before = if target.starts_with(b"/") { &[] } else { path.get(..at).unwrap_or_default() };
    join(next, &[before, target, path.get(at + name.len()..).unwrap_or_default()]).map(drop)
}

/// The name that begins at `at`, and where the next one begins.
pub fn first_name(path: &[u8], at: usize) -> (&[u8], usize) {
    let rest = path.get(at..).unwrap_or_default();
    let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    (name, skip_slashes(path, at + name.len()))
}

pub fn skip_slashes(path: &[u8], at: usize) -> usize {
    at + path.iter().skip(at).take_while(|byte| **byte == b'/').count()
}

/// Whether a path is the root, as far as its words tell.
pub fn is_root(path: &CStr) -> bool {
    path.to_bytes().split(|byte| *byte == b'/').all(|name| matches!(name, b"" | b"." | b".."))
}

/// Parts of a path, one behind the other in a buffer, with a NUL behind them.
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

pub fn text(space: &[u8]) -> &CStr {
    CStr::from_bytes_until_nul(space).unwrap_or_default()
}
