//! IDs of mounts.

use std::io::Result;
use std::path::Path;

use super::{check, text};

/// The unique ID of a mount, which is higher than those of all earlier ones; 0 before linux 6.8.
pub fn unique_mount_id(path: &Path) -> Result<u64> {
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    let path = text(path)?;
    // SAFETY: all zeros are a valid value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the string and the result outlive the call.
    check(i64::from(unsafe {
        libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, STATX_MNT_ID_UNIQUE, &raw mut found)
    }))?;
    Ok(if found.stx_mask & STATX_MNT_ID_UNIQUE == 0 { 0 } else { found.stx_mnt_id })
}
