//! Names of units and the paths of their cgroups (systemd.unit(5), systemd.slice(5)).

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;
use core::fmt::Write;

use crate::error::{Error, Result, Show};

/// `UNIT_NAME_MAX`
const LONGEST: usize = 255;

/// The names of a scope and of the slice that contains it.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    pub slice: String,
    pub scope: String,
}

impl Names {
    /// Plans the names by `linux.cgroupsPath`, which is `SLICE:PREFIX:NAME`; `slice` is the default slice.
    ///
    /// Errors: `linux.cgroupsPath` has another form or an invalid name.
    pub fn plan(given: Option<&CStr>, id: &str, slice: &str) -> Result<Self> {
        let Some(given) = given else {
            return Ok(Names { slice: slice.into(), scope: format!("mote-{}.scope", escape(id)) });
        };
        let fail =
            |why: &str| Err(Error::invalid(format_args!("linux.cgroupsPath: \"{}\": {why}", Show(given))));
        let mut parts = given.to_str().unwrap_or_default().splitn(3, ':');
        let (Some(own), Some(prefix), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return fail("the systemd cgroup manager requires SLICE:PREFIX:NAME");
        };
        let scope = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        if name.is_empty() || !is_unit(&scope) {
            return fail("PREFIX-NAME is not a valid unit name");
        }
        let slice = if own.is_empty() { slice } else { own };
        match expand(slice) {
            Some(_) => Ok(Names { slice: slice.into(), scope }),
            None => fail("SLICE is not a valid slice name"),
        }
    }

    /// The path of the scope's cgroup; `root` is the cgroup of the systemd instance.
    pub fn path(&self, root: &str) -> String {
        let slice = expand(&self.slice).unwrap_or_default();
        format!("{}{slice}/{}{}", root.trim_end_matches('/'), underscore(&self.scope), self.scope)
    }
}

/// The path of a scope's cgroup, from the path of a cgroup in it; `path` itself if it is not in the scope.
pub fn scope_of<'p>(path: &'p str, scope: &str) -> &'p str {
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        if name == scope || name.strip_prefix('_') == Some(scope) {
            return path.get(..end).unwrap_or(path);
        }
        end += 1;
    }
    path
}

/// The path of a slice's cgroup, whose parents are given by dashes: `a-b.slice` is in `/a.slice/a-b.slice`, and
/// `-.slice` is the root slice. `None` if the name is invalid.
fn expand(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice").filter(|_| is_unit(slice))?;
    let mut path = String::new();
    if name == "-" {
        return Some(path);
    }
    if name.split('-').any(str::is_empty) {
        return None;
    }
    for end in name.match_indices('-').map(|(end, _)| end).chain([name.len()]) {
        let one = name.get(..end).unwrap_or_default();
        let _ = write!(path, "/{}{one}.slice", underscore(one));
    }
    Some(path)
}

/// The prefix of the name of a cgroup that could otherwise be the name of a kernel file, as systemd adds it.
fn underscore(name: &str) -> &'static str {
    const CONTROLLERS: [&str; 10] =
        ["cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids", "bpf"];
    let start = name.split('.').next().unwrap_or_default();
    match name.starts_with(['_', '.']) || CONTROLLERS.contains(&start) {
        true => "_",
        false => "",
    }
}

fn is_unit(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= LONGEST && !name.starts_with('.') && name.bytes().all(good)
}

/// Escapes characters that are not allowed in unit names, as systemd-escape(1) does: `\x2f`.
fn escape(id: &str) -> String {
    let mut out = String::new();
    for byte in id.bytes() {
        let _ = match byte.is_ascii_alphanumeric() || b":-_.".contains(&byte) {
            true => out.write_char(char::from(byte)),
            false => write!(out, "\\x{byte:02x}"),
        };
    }
    out
}

/// The D-Bus object path of a unit.
pub fn object(unit: &str) -> String {
    let mut out = String::from("/org/freedesktop/systemd1/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        let _ = match byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            true => out.write_char(char::from(byte)),
            false => write!(out, "_{byte:02x}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn path(given: Option<&CStr>) -> String {
        Names::plan(given, "c+1", "system.slice")
            .map_or_else(|error| error.to_string(), |names| names.path("/"))
    }

    #[test]
    fn where_a_scope_is() {
        for (given, expected) in [
            (None, "/system.slice/mote-c\\x2b1.scope"),
            (Some(c"system.slice:docker:12ab"), "/system.slice/docker-12ab.scope"),
            (Some(c":libpod:x"), "/system.slice/libpod-x.scope"),
            (Some(c"a-b_c.slice::x:y"), "/a.slice/a-b_c.slice/x:y.scope"),
            (Some(c"-.slice:p:n"), "/p-n.scope"),
            (
                Some(c"kube-besteffort-pod1.slice:cri:n"),
                "/kube.slice/kube-besteffort.slice/kube-besteffort-pod1.slice/cri-n.scope",
            ),
            (Some(c"cpu.slice::memory.x"), "/_cpu.slice/_memory.x.scope"),
            (Some(c"_a.slice::_x"), "/__a.slice/__x.scope"),
        ] {
            assert_eq!(path(given), expected, "{given:?}");
        }
        for given in [
            c"/a/b",
            c"a.slice:x",
            c"system.slice:p:",
            c"a.slice:p/q:n",
            c"system.slice:p:n n",
            c"x:p:n",
            c"-a.slice:p:n",
            c"a--b.slice:p:n",
            c".slice:p:n",
            c"a/b.slice:p:n",
        ] {
            assert!(path(Some(given)).starts_with("linux.cgroupsPath: \""), "{given:?}");
        }
    }

    #[test]
    fn other_names() {
        assert_eq!(object("mote-1.scope"), "/org/freedesktop/systemd1/unit/mote_2d1_2escope");
        assert_eq!(object("1a"), "/org/freedesktop/systemd1/unit/_31a");
        assert_eq!(scope_of("/a.slice/x.scope/container", "x.scope"), "/a.slice/x.scope");
        assert_eq!(scope_of("/a/b", "x.scope"), "/a/b");
    }
}
