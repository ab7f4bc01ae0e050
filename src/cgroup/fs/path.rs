//! Paths of cgroups in the hierarchies (config-linux.md, "Cgroups Path").

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;
use core::fmt;

use crate::error::{Error, Result, Show};
use crate::host::CGROUP_ROOT;

/// The annotation that requests [`Cgroups::Named`](crate::host::Cgroups::Named), for errors.
pub const FORCE_V1: &str = "annotations.run.oci.systemd.force_cgroup_v1";

/// The longest path: `PATH_MAX` of include/uapi/linux/limits.h, less the hierarchy before it and a file name after it.
const MAX: usize = 4096 - 128;

/// Plans the path of a container's cgroup, from the hierarchies' roots: `/a/b`. A relative `linux.cgroupsPath` is
/// relative to the roots too; the default is the container's ID.
pub fn plan(cgroups_path: Option<&CStr>, id: &str) -> Result<String> {
    match cgroups_path {
        None => Ok(format!("/{id}")),
        Some(given) => check(given).map_err(|why| refused("linux.cgroupsPath", why)),
    }
}

/// The error that a field is not a valid path.
#[cold]
pub fn refused(field: &str, why: &str) -> Error {
    Error::invalid(format_args!("{field}: {why}"))
}

/// Checks and normalizes a path: it begins with `/` and has no empty components. Errors: the reason why it is invalid.
pub fn check(given: &CStr) -> Result<String, &'static str> {
    let text = given.to_str().map_err(|_| "not UTF-8")?;
    let mut path = String::with_capacity(text.len() + 1);
    for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            return Err("must not contain \"..\"");
        }
        // Files of every cgroup have names like this, so mkdir(2) would fail with an unspecific EEXIST.
        if name.starts_with("cgroup.") || name.contains('\n') {
            return Err("not a valid cgroup name");
        }
        path.push('/');
        path.push_str(name);
    }
    if path.len() > MAX {
        return Err("path too long");
    }
    match path.is_empty() {
        true => Err("must not be the root cgroup"),
        false => Ok(path),
    }
}

/// The paths of the cgroups above one, from the top, and its own at the end: `/a`, `/a/b`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| path.get(..end).unwrap_or_default())
}

/// The deepest common ancestor of two cgroups, which may be one of them.
pub fn common<'p>(one: &str, path: &'p str) -> &'p str {
    let names = one.split('/').zip(path.split('/')).take_while(|(one, other)| one == other);
    let end = names.map(|(name, _)| name.len() + 1).sum::<usize>().saturating_sub(1);
    path.get(..end).unwrap_or_default()
}

/// Prints the absolute path of a directory or file, given by its path relative to [`CGROUP_ROOT`], for errors.
pub struct FullPath<'p>(pub &'p str);

impl fmt::Display for FullPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In the v2 layout the hierarchy's directory is `.`.
        write!(f, "{}/{}", Show(CGROUP_ROOT), self.0.trim_start_matches("./"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ancestors, common, plan};

    #[test]
    fn in_common() {
        for (one, path, both) in [
            ("/a/b", "/a/c", "/a"),
            ("/a/b", "/a/b", "/a/b"),
            ("/a/b", "/a", "/a"),
            ("/a", "/a/b/c", "/a"),
            ("/ab", "/a", ""),
            ("/", "/a", ""),
            ("", "/a", ""),
        ] {
            assert_eq!(common(one, path), both, "{one} {path}");
        }
    }

    #[test]
    fn ways() {
        assert!(ancestors("/a").eq(["/a"]));
        assert!(ancestors("/a/b/c").eq(["/a", "/a/b", "/a/b/c"]));
    }

    #[test]
    fn paths() {
        assert_eq!(plan(None, "id").unwrap(), "/id");
        assert_eq!(plan(Some(c"/a//b/"), "id").unwrap(), "/a/b");
        assert_eq!(plan(Some(c"a/./b"), "id").unwrap(), "/a/b");
        for bad in [c"/", c"../x", c"/a/../b", c"/a/cgroup.procs", c"/a\nb"] {
            assert!(plan(Some(bad), "id").is_err(), "{bad:?}");
        }
    }
}
