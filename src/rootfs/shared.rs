//! A container without a mount namespace: its root is changed by chroot(2), and nothing may be mounted or created that
//! would appear on the host, and remain there. Mounts are attached to a detached copy of the root (linux 6.15), which only
//! the processes with this root see, and which is unmounted with the last of them.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open as openat};
use rustix::io::Errno;

use super::context::Context;
use crate::config::Config;
use crate::error::{Error, On, Result, Show};

/// Where a container's mounts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// In its mount namespace.
    Namespace,
    /// In a detached copy of its root.
    Detached,
    /// Nowhere: it has none, and no device nodes.
    Nowhere,
}

impl Mounts {
    /// Errors: mounts without a mount namespace, but with a user namespace, which has no rights to make them.
    pub fn new(config: &Config<'_>, context: &Context<'_, '_>) -> Result<Self> {
        if context.own_mounts {
            return Ok(Mounts::Namespace);
        }
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
            None => Ok(Mounts::Nowhere),
            Some((field, _)) if context.user.is_some() => Err(Error::invalid(format_args!(
                "{field}: needs a mount namespace in linux.namespaces, because there is a user namespace"
            ))),
            Some(_) => Ok(Mounts::Detached),
        }
    }

    /// Adds to an error that a detached root needs linux 6.15.
    #[cold]
    #[inline(never)]
    pub fn explain(self, mut error: Error) -> Error {
        if self == Mounts::Detached && error.is(Errno::INVAL) {
            error.append(format_args!(" (without a mount namespace in linux.namespaces: needs linux 6.15)"));
        }
        error
    }
}

/// Opens the root directory.
pub fn open(path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(path, flags, Mode::empty()).on(format_args!("openat {}", Show(path)))
}
