//! The cgroup below which an unprivileged user creates cgroups: in the delegated part of the tree that contains mote's
//! own cgroup (cgroups(7), "Cgroups delegation: delegating a hierarchy to a less privileged user").

use alloc::format;
use alloc::string::String;

use rustix::fd::AsFd;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::hierarchies::Hierarchies;
use super::path::common;
use crate::error::{Error, Result, Show};
use crate::host::{CGROUP_ROOT, Cgroups};
use crate::os::procfs;

/// The cgroup below which the cgroup of a container without `linux.cgroupsPath` is created; `None` for the root, also
/// if no other cgroup is writable.
pub fn delegated_parent(layout: &Cgroups) -> Option<String> {
    let first = match layout {
        Cgroups::None => return None,
        Cgroups::Unified | Cgroups::Named => ".",
        Cgroups::Hierarchies { unified: true, .. } => "unified",
        Cgroups::Hierarchies { names, .. } => names.first()?,
    };
    // For an administrator, the usual case, one system call.
    match may_write(CWD, &format!("{}/{first}", Show(CGROUP_ROOT))) {
        true => None,
        false => find(layout),
    }
}

/// The parent of mote's own cgroup, as in crun, or if only mote's own cgroup is delegated, that one. The first permits
/// limits: a cgroup that enables controllers for its children must not contain processes (cgroups(7), "no internal
/// processes").
#[cold]
#[inline(never)]
fn find(layout: &Cgroups) -> Option<String> {
    let hierarchies = Hierarchies::open(layout).ok()?;
    let mut space = [0u8; 4096];
    let text = procfs::read_own_file("cgroup", &mut space).ok()?;
    let text = core::str::from_utf8(text).ok()?;
    // Lines `ID:CONTROLLERS:PATH`. The paths in v1 hierarchies may differ from the one on v2.
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = v2_of(text).unwrap_or_default();
    paths().find_map(|own| {
        let (above, _) = own.rsplit_once('/')?;
        let is_delegated = |parent: &&str| {
            // Cgroups outside of this process's cgroup namespace are shown as `/..`.
            let is_visible = parent.len() > 1 && !parent.starts_with("/..");
            is_visible && hierarchies.may_make(parent, unified)
        };
        [above, own].into_iter().find(is_delegated).map(String::from)
    })
}

impl Hierarchies {
    /// Whether this process, whose v2 cgroup is `own`, may create cgroups below `parent` and move its children there.
    fn may_make(&self, parent: &str, own: &str) -> bool {
        self.all().all(|hierarchy| {
            may_write(&self.root, &Self::path(hierarchy, parent))
                && (self.v2 != Some(hierarchy) || may_move(hierarchy, own, parent))
        })
    }
}

/// Whether this process may move others from its own v2 cgroup to the one at `path`, which requires write access to
/// `cgroup.procs` of their common ancestor (cgroups(7), "Cgroups delegation containment"). `top` is the hierarchy's
/// directory.
pub fn may_move(top: &str, own: &str, path: &str) -> bool {
    may_write(CWD, &format!("{}/{top}{}/cgroup.procs", Show(CGROUP_ROOT), common(own, path)))
}

/// The v2 cgroup of this process.
pub fn own_cgroup() -> Result<String> {
    let mut space = [0u8; 4096];
    parse(procfs::read_own_file("cgroup", &mut space)?)
}

/// The v2 cgroup of a process (cgroups(7), "/proc/pid/cgroup").
pub fn cgroup_of(pid: i32) -> Result<String> {
    let mut space = [0u8; 4096];
    parse(procfs::read_process_file(pid, "cgroup", &mut space)?)
}

fn parse(text: &[u8]) -> Result<String> {
    let found = v2_of(core::str::from_utf8(text).unwrap_or_default()).map(String::from);
    found.ok_or_else(|| Error::invalid(format_args!("/proc/PID/cgroup: no cgroup v2")))
}

fn v2_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Whether this process may write to a file, or create files in a directory.
pub fn may_write(directory: impl AsFd, path: &str) -> bool {
    accessat(directory, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}
