//! Where in the hierarchies a container's cgroup is (config-linux.md, "Cgroups Path").

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;
use core::fmt;

use crate::error::{Error, Result, Show};
use crate::host::CGROUP_ROOT;

/// What asks for [`Cgroups::Named`](crate::host::Cgroups::Named), in errors.
pub const FORCE_V1: &str = "annotations.run.oci.systemd.force_cgroup_v1";

/// `PATH_MAX` of include/uapi/linux/limits.h, less what stands before and behind.
const MAX: usize = 4096 - 128;

/// The path from the hierarchies' roots: `/a/b`. A relative one is taken from there too; without one the
/// container's id is the name.
pub fn plan(cgroups_path: Option<&CStr>, id: &str) -> Result<String> {
    match cgroups_path {
        None => Ok(format!("/{id}")),
        Some(given) => check(given).map_err(|why| refused("linux.cgroupsPath", why)),
    }
}

/// Why a field is not a path.
#[cold]
pub fn refused(field: &str, why: &str) -> Error {
    Error::invalid(format_args!("{field}: {why}"))
}

/// A path as it was given, from the root on; or why it is none.
pub fn check(given: &CStr) -> Result<String, &'static str> {
    let text = given.to_str().map_err(|_| "not UTF-8")?;
    let mut path = String::with_capacity(text.len() + 1);
    for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            return Err("must not contain \"..\"");
        }
        // A file of every cgroup could not be a directory; the kernel says EEXIST, which is no help.
        if name.starts_with("cgroup.") || name.contains('\n') {
            return Err("not the name of a cgroup");
        }
        path.push('/');
        path.push_str(name);
    }
    if path.len() > MAX {
        return Err("too long for a path");
    }
    match path.is_empty() {
        true => Err("must not be the root"),
        false => Ok(path),
    }
}

/// The cgroups on the way to one, from the top, and itself at the end: `/a`, `/a/b`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| path.get(..end).unwrap_or_default())
}

/// The deepest cgroup that two are in or below of.
pub fn common<'p>(one: &str, path: &'p str) -> &'p str {
    let names = one.split('/').zip(path.split('/')).take_while(|(one, other)| one == other);
    let end = names.map(|(name, _)| name.len() + 1).sum::<usize>().saturating_sub(1);
    path.get(..end).unwrap_or_default()
}

/// A directory or file of a hierarchy by its path below [`CGROUP_ROOT`], as errors name it.
pub struct FullPath<'p>(pub &'p str);

impl fmt::Display for FullPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // cgroup v2 alone has its root in `.`.
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
