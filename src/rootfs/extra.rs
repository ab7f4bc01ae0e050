//! Mounts that are added to a container that runs, and taken away from it.

use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::fchdir;

use super::context::Context;
use super::idmap::FindUserNamespace;
use super::op::{self, Op};
use super::path::Root;
use super::path_text::is_root;
use super::plan::{ops, read_links};
use super::supply::{RequestTrees, Sources};
use crate::config::Mount;
use crate::error::{At, On, Result, Show, invalid};

/// Mounts, ready to be made.
#[derive(Debug)]
pub struct Plan<'a> {
    mounts: Vec<Op<'a>>,
}

impl<'a> Plan<'a> {
    /// Plans them as those of a configuration, but for filesystems that show namespaces: a new one would show those
    /// of whoever mounts it.
    pub fn new(mounts: &[Mount<'a>], context: &Context<'a, '_>) -> Result<Self> {
        for (index, mount) in mounts.iter().enumerate() {
            let place = Show(mount.destination);
            if is_root(mount.destination) {
                return invalid(format_args!(
                    "mounts[{index}] {place}: nobody inside would see it over the root"
                ));
            }
            let kind = mount.kind.map_or(&b""[..], CStr::to_bytes);
            if matches!(kind, b"proc" | b"sysfs" | b"mqueue" | b"cgroup" | b"cgroup2") {
                let kind = kind.escape_ascii();
                return invalid(format_args!("mounts[{index}] {place}: {kind} cannot be added"));
            }
        }
        Ok(Plan { mounts: ops(mounts, context)? })
    }

    /// Opens what comes from the host, as far as there is room.
    pub fn open_sources(&mut self, find: &mut FindUserNamespace<'_>) -> Result<()> {
        read_links(&mut self.mounts)?;
        self.sources().open_first(Some(find)).map(drop)
    }

    fn sources(&self) -> Sources<'_, 'a> {
        Sources { mounts: &self.mounts, devices: None }
    }

    /// The trees that the process inside asks for.
    pub fn portion(&self, entry: usize, find: &mut FindUserNamespace<'_>) -> Result<Vec<OwnedFd>> {
        Ok(self.sources().portion(entry, find)?.0)
    }

    /// Inside: makes all of them, or none.
    pub fn apply(&self, root: &mut Root, more: &mut RequestTrees<'_>) -> Result<()> {
        let (sources, mut made) = (self.sources(), 0);
        let finish = |()| self.mounts.iter().try_for_each(Op::finish);
        let all = op::apply_all(&self.mounts, root, &mut |entry| sources.fill(entry, more), &mut made);
        all.and_then(finish).inspect_err(|_| {
            for mount in self.mounts.iter().take(made).rev() {
                let _ = detach(root, mount.destination());
            }
        })
    }
}

/// Inside: takes them away, the last first, since it may lie below another. Who still uses one keeps it.
pub fn remove(mounts: &[Mount<'_>], root: &Root) -> Result<()> {
    for (index, mount) in mounts.iter().enumerate().rev() {
        detach(root, mount.destination).at(format_args!("mounts[{index}] {}", Show(mount.destination)))?;
    }
    Ok(())
}

/// By its name in a directory that no link has led to: it could lead to what hides a file of the kernel's.
fn detach(root: &Root, path: &CStr) -> Result<()> {
    let (above, name) = root.parent_without_links(path)?;
    fchdir(&above).on(format_args!("fchdir"))?;
    unmount(name, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).on(format_args!("umount2 MNT_DETACH"))
}
