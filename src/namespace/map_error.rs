//! Why the kernel refused an ID map (user_namespaces(7), "Defining user and group ID mappings").

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::config::linux::IdMapping;
use crate::error::Error;
use crate::host;
use crate::sys::page_size;

/// UID_GID_MAP_MAX_EXTENTS of include/linux/user_namespace.h, since linux 4.15; before, 5.
pub(super) const MAX_EXTENTS: usize = 340;

/// Adds the field and the reason to the `error` of writing `mappings` as `length` bytes to `file` of a process in a new
/// user namespace. `proc` is the host's procfs.
#[cold]
#[inline(never)]
pub(super) fn explain(
    error: Error,
    (field, file): (&str, &str),
    mappings: &[IdMapping],
    length: usize,
    proc: &OwnedFd,
) -> Error {
    let (count, page) = (mappings.len(), page_size());
    if error.is(Errno::INVAL) && count > MAX_EXTENTS {
        let why = format_args!("{field}: {count} mappings, of which the kernel permits {MAX_EXTENTS}");
        return error.within(why);
    }
    if error.is(Errno::INVAL) && length >= page {
        let why = "which the kernel permits to have less than";
        return error
            .within(format_args!("{field}: {count} mappings are a text of {length} bytes, {why} {page}"));
    }
    if let Some((name, one, two)) = overlap(mappings).filter(|_| error.is(Errno::INVAL)) {
        return error.within(format_args!("{field}[{two}].{name}: overlaps with {field}[{one}]"));
    }
    match refused(file, mappings, proc).filter(|_| error.is(Errno::PERM)) {
        Some((index, true)) => {
            error.within(format_args!("{field}[{index}].hostID: not mapped in mote's own user namespace"))
        }
        Some((index, false)) => {
            error.within(format_args!("{field}[{index}].hostID: 0 is mapped only with CAP_SETFCAP"))
        }
        None => error.within(format_args!("{field}")),
    }
}

/// Two mappings with a common ID: the field, and their indices in order.
fn overlap(mappings: &[IdMapping]) -> Option<(&'static str, usize, usize)> {
    let shares = |one: u32, two: u32, a: &IdMapping, b: &IdMapping| {
        u64::from(one) < u64::from(two) + u64::from(b.size)
            && u64::from(two) < u64::from(one) + u64::from(a.size)
    };
    mappings.iter().enumerate().find_map(|(second, b)| {
        mappings.iter().take(second).enumerate().find_map(|(first, a)| {
            if shares(a.container_id, b.container_id, a, b) {
                return Some(("containerID", first, second));
            }
            shares(a.host_id, b.host_id, a, b).then_some(("hostID", first, second))
        })
    })
}

/// The index of a mapping that the kernel denies, and whether because its IDs do not exist in the user namespace of this
/// process; otherwise because they include 0 (since linux 5.12).
fn refused(file: &str, mappings: &[IdMapping], proc: &OwnedFd) -> Option<(usize, bool)> {
    let own = host::own_map(proc, file)?;
    let exists = |first: u32, size: u32| {
        // An extent of the parent covers the range, or its beginning: the kernel maps a range by one extent only.
        own.iter().any(|[start, _, length]| {
            start <= &first && u64::from(first) + u64::from(size) <= u64::from(*start) + u64::from(*length)
        })
    };
    let missing = mappings.iter().position(|mapping| !exists(mapping.host_id, mapping.size));
    let has_setfcap = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SETFCAP));
    let zero = mappings.iter().position(|mapping| mapping.host_id == 0);
    missing.map(|index| (index, true)).or_else(|| zero.filter(|_| !has_setfcap).map(|index| (index, false)))
}
