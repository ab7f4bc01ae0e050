//! Where who may not make cgroups at the root of the hierarchies may make them: in the part of the tree that holds
//! mote's own cgroup and was given away (cgroups(7), "Cgroups delegation: delegating a hierarchy to a less privileged
//! user").

use alloc::format;
use alloc::string::String;

use rustix::fd::AsFd;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::getpid;

use super::hierarchies::Hierarchies;
use super::path::common;
use crate::error::{Error, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups};
use crate::os::procfs;

/// The cgroup below which a container without a path is put; `None` for the root, also where there is no better one.
pub fn delegated_parent(layout: &Cgroups) -> Option<String> {
    let first = match layout {
        Cgroups::None => return None,
        Cgroups::Unified | Cgroups::Named => ".",
        Cgroups::Hierarchies { unified: true, .. } => "unified",
        Cgroups::Hierarchies { names, .. } => names.first()?,
    };
    // One call where it is the root's: what is usual.
    match may_write(CWD, &format!("{}/{first}", Show(CGROUP_ROOT))) {
        true => None,
        false => find(layout),
    }
}

/// Beside mote's own cgroup, as crun does, and where that is not given away but mote's own is, in that. The first
/// leaves room for limits: nobody is in a cgroup whose controllers are handed down (cgroups(7), "no internal
/// processes").
#[cold]
#[inline(never)]
fn find(layout: &Cgroups) -> Option<String> {
    let hierarchies = Hierarchies::open(layout).ok()?;
    let mut space = [0u8; 4096];
    let text = procfs::read_process_file(own_pid(), "cgroup", &mut space).ok()?;
    let text = core::str::from_utf8(text).ok()?;
    // `ID:CONTROLLERS:PATH`. In hierarchies of v1 it may be in others than in that of v2.
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = v2_of(text).unwrap_or_default();
    paths().find_map(|own| {
        let (above, _) = own.rsplit_once('/')?;
        let is_given = |parent: &&str| {
            // Above the root of this process's cgroup namespace, which is not to be seen, it is `/..`.
            let is_seen = parent.len() > 1 && !parent.starts_with("/..");
            is_seen && hierarchies.may_make(parent, unified)
        };
        [above, own].into_iter().find(is_given).map(String::from)
    })
}

impl Hierarchies {
    /// Whether this process, in the cgroup v2 `own`, may make cgroups below one and send its children there.
    fn may_make(&self, parent: &str, own: &str) -> bool {
        self.all().all(|hierarchy| {
            may_write(&self.root, &Self::path(hierarchy, parent))
                && (self.v2 != Some(hierarchy) || may_move(hierarchy, own, parent))
        })
    }
}

/// Whether this process may move others from its own cgroup v2 to one of this path: who does writes to both, and to
/// the one that they are below of (cgroups(7), "Cgroups delegation containment"). `top` is the hierarchy's directory.
pub fn may_move(top: &str, own: &str, path: &str) -> bool {
    may_write(CWD, &format!("{}/{top}{}/cgroup.procs", Show(CGROUP_ROOT), common(own, path)))
}

/// The cgroup v2 of this process.
pub fn own_cgroup() -> Result<String> {
    cgroup_of(own_pid())
}

/// The cgroup v2 that a process is in (cgroups(7), "/proc/[pid]/cgroup").
pub fn cgroup_of(pid: i32) -> Result<String> {
    let mut space = [0u8; 4096];
    let text =
        core::str::from_utf8(procfs::read_process_file(pid, "cgroup", &mut space)?).unwrap_or_default();
    let found = v2_of(text).map(String::from);
    found.ok_or_else(|| Error::invalid(format_args!("/proc/{pid}/cgroup: no cgroup v2")))
}

fn v2_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

fn may_write(directory: impl AsFd, path: &str) -> bool {
    accessat(directory, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}
