//! Mounts that are added to a running container, or removed from it.

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
use super::source::Request;
use super::supply::{RequestTrees, Sources};
use crate::config::Mount;
use crate::error::{At, On, Result, Show, invalid};

/// The plan of mounts to be added.
#[derive(Debug)]
pub struct Plan<'a> {
    mounts: Vec<Op<'a>>,
}

impl<'a> Plan<'a> {
    /// Plans mounts like those of config.json. Errors: in addition, `/` is rejected as destination, and so are
    /// filesystems whose content depends on namespaces, because a new one would show those of the process that mounts
    /// it.
    pub fn new(mounts: &[Mount<'a>], context: &Context<'a, '_>) -> Result<Self> {
        for (index, mount) in mounts.iter().enumerate() {
            let place = Show(mount.destination);
            if is_root(mount.destination) {
                return invalid(format_args!(
                    "mounts[{index}] {place}: a mount over the root would not be visible in the container"
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

    /// Opens sources on the host, as far as the limit of file descriptors permits.
    pub fn open_sources(&mut self, find: &mut FindUserNamespace<'_>) -> Result<()> {
        read_links(&mut self.mounts)?;
        self.sources().open_first(Some(find))
    }

    fn sources(&self) -> Sources<'_, 'a> {
        Sources { mounts: &self.mounts, devices: None }
    }

    /// Opens the trees that the process in the container's mount namespace requests.
    pub fn answer(&self, request: Request, find: &mut FindUserNamespace<'_>) -> Result<Vec<OwnedFd>> {
        self.sources().answer(request, find)
    }

    /// Makes the mounts, in the container's mount namespace. If one fails, those made before it are removed.
    pub fn apply(&self, root: &mut Root, more: &mut RequestTrees<'_>) -> Result<()> {
        let (sources, mut made) = (self.sources(), 0);
        let finish = |()| self.mounts.iter().try_for_each(Op::finish);
        let all = op::apply_all(&self.mounts, root, &mut |request| sources.fill(request, more), &mut made);
        all.and_then(finish).inspect_err(|_| {
            for mount in self.mounts.iter().take(made).rev() {
                let _ = detach(root, mount.destination());
            }
        })
    }
}

/// Removes mounts, in the container's mount namespace: the last first, because it may be below another. Open files of a
/// removed mount remain usable (MNT_DETACH).
pub fn remove(mounts: &[Mount<'_>], root: &Root) -> Result<()> {
    for (index, mount) in mounts.iter().enumerate().rev() {
        detach(root, mount.destination).at(format_args!("mounts[{index}] {}", Show(mount.destination)))?;
    }
    Ok(())
}

/// Unmounts a path. Links in it are not followed: they could lead to a mount that masks a file of procfs or sysfs.
fn detach(root: &Root, path: &CStr) -> Result<()> {
    let (above, name) = root.parent_without_links(path)?;
    fchdir(&above).on(format_args!("fchdir"))?;
    unmount(name, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).on(format_args!("umount2 MNT_DETACH"))
}
