//! A container without a mount namespace: its root is changed by chroot(2), and nothing is mounted or created, because
//! all of it would appear on the host, and remain there.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open as openat};

use crate::config::Config;
use crate::error::{Error, On, Result, Show};

/// Rejects settings that need a mount namespace.
pub fn check(config: &Config<'_>) -> Result<()> {
    let linux = &config.linux;
    let fields = [
        ("mounts", !config.mounts.is_empty()),
        ("root.readonly", config.root.readonly),
        ("linux.devices", !linux.devices.is_empty()),
        ("linux.maskedPaths", !linux.masked_paths.is_empty()),
        ("linux.readonlyPaths", !linux.readonly_paths.is_empty()),
        ("linux.rootfsPropagation", linux.rootfs_propagation.is_some()),
    ];
    match fields.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(Error::invalid(format_args!(
            "{field}: needs a mount namespace in linux.namespaces: it would change the host"
        ))),
        None => Ok(()),
    }
}

/// Opens the root directory.
pub fn open(path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(path, flags, Mode::empty()).on(format_args!("openat {}", Show(path)))
}
