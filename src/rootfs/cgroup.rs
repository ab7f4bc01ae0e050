//! Mounts of type `cgroup` (cgroups(7), cgroup_namespaces(7)).
//!
//! The container gets bind mounts of its own cgroup's directories, not new mounts of the hierarchies:
//! their roots are the same, and it need not be in its cgroup, or in a cgroup namespace, when they are made.

use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::source::Source;
use crate::host::{CGROUP_ROOT, Cgroups};

/// Which part of the hierarchies the container sees.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub layout: Cgroups,
    /// Its own cgroup, `/a/b`; `None` when it has none of its own.
    pub path: Option<String>,
    /// Whether it has a cgroup namespace. Without one a v2 hierarchy is shown whole, as runc and crun do.
    pub namespace: bool,
    /// Where the v1 hierarchy of [`Cgroups::Named`] is shown.
    pub named: Option<&'a CStr>,
}

/// What a cgroup mount consists of.
#[derive(Debug)]
pub enum Trees<'a> {
    /// The v2 hierarchy as a whole.
    Whole(Source<'a>),
    /// The container's own part of it.
    Own(Source<'a>),
    /// Directories of a tmpfs, one for each hierarchy.
    Many(Vec<(CString, Source<'a>)>),
    /// A new mount of cgroup v2, whose root the kernel finds by the cgroup namespace.
    New,
}

impl View<'_> {
    /// Finds the trees of a cgroup mount at this place.
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
            (Cgroups::Unified | Cgroups::Named, _) if !self.namespace => Trees::Whole(source("", "")),
            (Cgroups::Unified | Cgroups::Named | Cgroups::None, _) => Trees::New,
            // None of its own: the host's are not its to see.
            (Cgroups::Hierarchies { .. }, None) => Trees::Many(Vec::new()),
            (Cgroups::Hierarchies { names, unified }, Some(path)) => {
                let all = names.iter().map(String::as_str).chain(unified.then_some("unified"));
                let tree = |name: &str| (CString::new(name).unwrap_or_default(), source(name, path));
                Trees::Many(all.map(tree).collect())
            }
        }
    }
}
