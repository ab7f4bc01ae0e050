//! Delegation of a cgroup to the container, which can then create cgroups in it: the owner of the container's cgroup is
//! changed (config-linux.md, "Cgroup ownership"; cgroups(7), "Cgroups delegation"), or a sub-cgroup is created for it
//! (`run.oci.delegate-cgroup`).
//!
//! Only on v2: "Cgroup delegation is not secure in cgroups v1".

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, openat};
use rustix::io::{Errno, read, write};

use super::hierarchies::Hierarchies;
use super::path;
use super::path::FullPath;
use super::subtree_control::switched_on;
use crate::config::linux::{IdMapping, Mappings};
use crate::config::{Config, Mount};
use crate::error::{At, Error, On, Result};
use crate::host::Cgroups;

/// The plan of a delegation.
#[derive(Debug, Default)]
pub struct Delegation {
    /// The new owner of the container's cgroup, as a host UID.
    owner: Option<u32>,
    /// A sub-cgroup, `/a`, and its owner, the container's root, as host UID and GID.
    below: Option<(String, [u32; 2])>,
}

/// The fds with which the child joins the delegated sub-cgroup, after its cgroup namespace is created.
pub struct SubCgroupFds {
    procs: OwnedFd,
    /// The `cgroup.subtree_control` of the container's cgroup, written when no process is in that any more.
    control: OwnedFd,
    controllers: String,
}

impl Delegation {
    /// Plans the delegation; `None` if there is none. `mappings` are those of the container's user namespace,
    /// `namespace` is whether the container has a new cgroup namespace.
    ///
    /// Errors: the annotation is set, and the layout is not v2 alone, or its path is invalid.
    pub fn plan(
        config: &Config<'_>,
        mappings: Option<Mappings<'_>>,
        namespace: bool,
        layout: &Cgroups,
    ) -> Result<Option<Box<Self>>> {
        let below = config.annotation(c"run.oci.delegate-cgroup");
        let given = namespace && layout.is_unified() && config.mounts.iter().any(is_writable);
        if below.is_none() && !given {
            return Ok(None);
        }
        const FIELD: &str = "annotations.run.oci.delegate-cgroup";
        if !layout.is_unified() {
            return Err(Error::unsupported(format_args!("{FIELD}: supported only with cgroup v2 alone")));
        }
        let below = below.map(path::check).transpose().map_err(|why| path::refused(FIELD, why))?;
        let host = |list: &[IdMapping], id| IdMapping::to_host(list, id);
        let (uids, gids) = mappings.unzip();
        let root = [uids, gids].map(|list| list.map_or(Some(0), |list| host(list, 0)));
        let user = config.process.as_ref().map_or(0, |process| process.user.uid);
        let user = uids.map_or(Some(user), |list| host(list, user));
        Ok(Some(Box::new(Delegation {
            owner: user.filter(|_| given),
            below: below.map(|below| (below, root.map(Option::unwrap_or_default))),
        })))
    }

    /// Changes the owner of the container's cgroup, and creates the sub-cgroup; `made` as for [`Hierarchies::create`].
    #[cold]
    #[inline(never)]
    pub fn apply(&self, hierarchies: &Hierarchies, path: &str, made: &mut Vec<String>) -> Result<()> {
        let Some(v2) = hierarchies.v2 else { return Ok(()) };
        if let Some(owner) = self.owner {
            give(hierarchies, &Hierarchies::path(v2, path), owner, None)?;
        }
        if let Some((below, [uid, gid])) = &self.below {
            let path = format!("{path}{below}");
            hierarchies.make_all(v2, &path, made).at(format_args!("cgroup {path}"))?;
            give(hierarchies, &Hierarchies::path(v2, &path), *uid, Some(*gid))?;
        }
        Ok(())
    }

    /// The path of the sub-cgroup, relative to the container's cgroup: `/a`.
    pub fn below(&self) -> Option<&str> {
        self.below.as_ref().map(|(below, _)| below.as_str())
    }

    /// Opens the files with which the child joins the sub-cgroup; `None` if there is none.
    #[cold]
    #[inline(never)]
    pub fn open_sub_cgroup(&self, hierarchies: &Hierarchies, path: &str) -> Result<Option<SubCgroupFds>> {
        let (Some(v2), Some(below)) = (hierarchies.v2, self.below()) else { return Ok(None) };
        let own = Hierarchies::path(v2, path);
        let controllers = hierarchies.read(&format!("{own}/cgroup.controllers"))?;
        Ok(Some(SubCgroupFds {
            procs: hierarchies.open_to_write(&format!("{own}{below}/cgroup.procs"))?,
            control: hierarchies.open_to_write(&format!("{own}/cgroup.subtree_control"))?,
            controllers: switched_on(controllers.split_ascii_whitespace()),
        }))
    }
}

impl SubCgroupFds {
    /// Joins the sub-cgroup and enables the controllers for it. Called by the child.
    #[cold]
    #[inline(never)]
    pub fn enter(&self) -> Result<()> {
        write(&self.procs, b"0").on(format_args!("write 0 to the delegated cgroup.procs"))?;
        match self.controllers.as_str() {
            "" => Ok(()),
            list => write(&self.control, list.as_bytes())
                .map(drop)
                .on(format_args!("write {list} to cgroup.subtree_control")),
        }
    }
}

/// Whether a mount is a writable cgroup mount at /sys/fs/cgroup, through which the container can create cgroups.
fn is_writable(mount: &Mount<'_>) -> bool {
    mount.is_cgroup() && mount.destination == c"/sys/fs/cgroup" && !mount.options.contains(&c"ro")
}

/// Changes the owner of a cgroup's directory and of the files that delegation includes, which limits are not.
fn give(hierarchies: &Hierarchies, directory: &str, uid: u32, gid: Option<u32>) -> Result<()> {
    const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";
    let (uid, gid) = (Some(Uid::from_raw(uid)), gid.map(Gid::from_raw));
    let own = |path: &str| chownat(&hierarchies.root, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
    own(directory).on(format_args!("fchownat {}", FullPath(directory)))?;
    let mut space = [0u8; 1024];
    let list = openat(CWD, c"/sys/kernel/cgroup/delegate", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // Before linux 4.15 this file does not exist.
    let count = list.and_then(|list| read(&list, &mut space)).unwrap_or(0);
    let list = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
    for name in if list.is_empty() { USUAL } else { list }.lines() {
        let file = format!("{directory}/{name}");
        match own(&file) {
            // A file of a controller that is not enabled.
            Err(Errno::NOENT) => {}
            owned => owned.on(format_args!("fchownat {}", FullPath(&file)))?,
        }
    }
    Ok(())
}
