//! Mounts of type `cgroup` (cgroups(7), cgroup_namespaces(7)).
//!
//! The container gets bind mounts of the directories of its own cgroup instead of new mounts of the hierarchies. Both
//! have the same root, but the container init need not be in its cgroup, or in a cgroup namespace, when bind mounts are
//! made.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::source::Source;
use crate::host::{CGROUP_ROOT, Cgroups};

/// The part of the cgroup hierarchies that is visible in the container.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub layout: Cgroups,
    /// The path of its own cgroup, `/a/b`; `None` if it has none of its own.
    pub path: Option<String>,
    /// Whether it has a cgroup namespace. Without one the whole v2 hierarchy is mounted, as by runc and crun.
    pub namespace: bool,
    /// The destination of the v1 hierarchy of [`Cgroups::Named`].
    pub named: Option<&'a CStr>,
}

/// The parts of a cgroup mount.
#[derive(Debug)]
pub enum Trees<'a> {
    /// The whole v2 hierarchy.
    Hierarchy(Source<'a>),
    /// The container's own cgroup in the v2 hierarchy.
    Own(Source<'a>),
    /// Mounts in directories of a tmpfs, one for each hierarchy: (directory, source).
    Many(Vec<(CString, Source<'a>)>),
    /// A new mount of cgroup v2, whose root is that of the cgroup namespace.
    New,
}

impl View<'_> {
    /// The trees of a cgroup mount with this destination.
    pub fn trees<'a>(&self, destination: &CStr) -> Trees<'a> {
        let own = self.path.as_deref();
        let source = |name: &str, path: &str| {
            let root = CGROUP_ROOT.to_bytes();
            let path =
                [root, if name.is_empty() { b"" } else { b"/" }, name.as_bytes(), path.as_bytes()].concat();
            // Names from a directory listing and a checked path have no NUL inside.
            Source::new(CString::new(path).unwrap_or_default(), false)
        };
        match (&self.layout, own) {
            (Cgroups::Named, Some(path)) if self.named == Some(destination) => {
                Trees::Many(vec![(c"systemd".into(), source("systemd", path))])
            }
            (Cgroups::Unified | Cgroups::Named, Some(path)) if self.namespace => Trees::Own(source("", path)),
            (Cgroups::Unified | Cgroups::Named, _) if !self.namespace => Trees::Hierarchy(source("", "")),
            (Cgroups::Unified | Cgroups::Named | Cgroups::None, _) => Trees::New,
            // Without a cgroup of its own: the host's cgroups are not visible in the container.
            (Cgroups::Hierarchies { .. }, None) => Trees::Many(Vec::new()),
            (Cgroups::Hierarchies { names, unified }, Some(path)) => {
                let all = names.iter().map(String::as_str).chain(unified.then_some("unified"));
                let tree = |name: &str| (CString::new(name).unwrap_or_default(), source(name, path));
                Trees::Many(all.map(tree).collect())
            }
        }
    }
}
