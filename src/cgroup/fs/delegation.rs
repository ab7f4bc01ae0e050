//! A cgroup that is given away to who is in it, for cgroups of their own: its owner is changed (config-linux.md, "Cgroup
//! ownership"; cgroups(7), "Cgroups delegation"), or another one below it is theirs (`run.oci.delegate-cgroup`).
//!
//! Only of v2: "Cgroup delegation is not secure in cgroups v1".

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

/// What is given away.
#[derive(Debug, Default)]
pub struct Delegation {
    /// The owner that the container's cgroup gets, by the host's ids.
    owner: Option<u32>,
    /// A cgroup below it, `/a`, and its owner, who is root in the container.
    below: Option<(String, [u32; 2])>,
}

/// The fds with which the child joins the delegated sub-cgroup, after its cgroup namespace is created.
pub struct SubCgroupFds {
    procs: OwnedFd,
    /// Takes the controllers that are handed down, as soon as nobody is in it any more.
    control: OwnedFd,
    controllers: String,
}

impl Delegation {
    /// Decides it; `None` for nothing. `mappings` are those of the container's user namespace, `namespace` is whether
    /// it has a new one for cgroups.
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
            return Err(Error::unsupported(format_args!("{FIELD}: is for cgroup v2 alone")));
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

    /// Gives away the container's cgroup, and makes that below it; `made` as for [`Hierarchies::create`].
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

    /// The name of the cgroup below.
    pub fn below(&self) -> Option<&str> {
        self.below.as_ref().map(|(below, _)| below.as_str())
    }

    /// Opens the way to the cgroup below, for the child.
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
    /// The child's part.
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

/// Whether it is the mount through which cgroups are made: at the usual place, and not read-only.
fn is_writable(mount: &Mount<'_>) -> bool {
    mount.is_cgroup() && mount.destination == c"/sys/fs/cgroup" && !mount.options.contains(&c"ro")
}

/// Changes the owner of a cgroup, and of the files that are a delegatee's: limits are not among them.
fn give(hierarchies: &Hierarchies, directory: &str, uid: u32, gid: Option<u32>) -> Result<()> {
    const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";
    let (uid, gid) = (Some(Uid::from_raw(uid)), gid.map(Gid::from_raw));
    let own = |path: &str| chownat(&hierarchies.root, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
    own(directory).on(format_args!("fchownat {}", FullPath(directory)))?;
    let mut space = [0u8; 1024];
    let list = openat(CWD, c"/sys/kernel/cgroup/delegate", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // Before linux 4.15 there is no list.
    let count = list.and_then(|list| read(&list, &mut space)).unwrap_or(0);
    let list = core::str::from_utf8(space.get(..count).unwrap_or_default()).unwrap_or_default();
    for name in if list.is_empty() { USUAL } else { list }.lines() {
        let file = format!("{directory}/{name}");
        match own(&file) {
            // Of a controller that is not there.
            Err(Errno::NOENT) => {}
            owned => owned.on(format_args!("fchownat {}", FullPath(&file)))?,
        }
    }
    Ok(())
}
