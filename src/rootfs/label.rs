//! The SELinux label of filesystems that are mounted for the container (config-linux.md, "Mount Label"; mount(8),
//! "context").

use alloc::borrow::Cow;
use alloc::ffi::CString;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, XattrFlags, fsetxattr, openat};

use super::tree::Parameter;
use crate::config::Config;
use crate::error::{Error, Result, Show};

/// A mount option and its value, the label.
pub type Label<'a> = (&'static CStr, &'a CStr);

/// Not a mount option but an extended attribute of the filesystem's root directory (xattr(7)). It is kept among the
/// parameters.
const ATTRIBUTE: &CStr = c"security.selinux";

/// `linux.mountLabel` as a mount option, "context" by default, or the one in the annotation.
pub fn plan<'a>(config: &Config<'a>) -> Result<Option<Label<'a>>> {
    const KEY: &CStr = c"run.oci.mount_context_type";
    let Some(label) = config.linux.mount_label else { return Ok(None) };
    let given = config.annotation(KEY).unwrap_or(c"context");
    let known = [c"context", c"fscontext", c"defcontext", c"rootcontext"];
    match known.into_iter().find(|known| *known == given) {
        Some(option) => Ok(Some((option, label))),
        None => Err(Error::invalid(format_args!(
            "annotations.{}: unknown kind of label \"{}\"",
            Show(KEY),
            Show(given)
        ))),
    }
}

/// The option or attribute that labels a new filesystem of a type; `None` if SELinux labels its files individually. The
/// mqueue filesystem exists since its IPC namespace was created, so only its root directory can be labelled.
pub fn label_of<'a>(kind: &CStr, label: Label<'a>) -> Option<Label<'a>> {
    match kind.to_bytes() {
        b"proc" | b"sysfs" | b"cgroup" | b"cgroup2" => None,
        b"mqueue" => Some((ATTRIBUTE, label.1)),
        _ => Some(label),
    }
}

/// Whether a parameter is passed to the filesystem; `ATTRIBUTE` is not.
pub fn is_parameter((name, _): &Parameter<'_>) -> bool {
    *name != ATTRIBUTE
}

/// Sets the label of a tree's root directory, if it is among the parameters. Errors are ignored: if the policy denies
/// it, the directory keeps its own label, which gives the container no additional access.
pub fn set_attribute<'a>(tree: &OwnedFd, mut parameters: impl Iterator<Item = Parameter<'a>>) {
    let Some((_, Some(label))) = parameters.find(|parameter| !is_parameter(parameter)) else { return };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let _ = openat(tree, c".", flags, Mode::empty())
        .and_then(|directory| fsetxattr(directory, ATTRIBUTE, label.to_bytes(), XattrFlags::empty()));
}

/// A label without its quotes. mount(8) requires them for labels with commas, fsconfig(2) does not accept them.
pub fn unquoted(label: &CStr) -> Cow<'_, CStr> {
    let inner = label.to_bytes().strip_prefix(b"\"").and_then(|label| label.strip_suffix(b"\""));
    inner.and_then(|inner| CString::new(inner).ok()).map_or(label.into(), Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_by_filesystem_type() {
        let label = (c"context", c"a:b:c:s0");
        assert_eq!(label_of(c"tmpfs", label), Some(label));
        assert_eq!(label_of(c"mqueue", label), Some((ATTRIBUTE, c"a:b:c:s0")));
        for kind in [c"proc", c"sysfs", c"cgroup", c"cgroup2"] {
            assert_eq!(label_of(kind, label), None);
        }
    }

    #[test]
    fn quotes_are_removed_at_both_ends() {
        for (given, label) in [(c"\"a:s0:c1,c2\"", c"a:s0:c1,c2"), (c"a:s0", c"a:s0"), (c"\"", c"\"")] {
            assert_eq!(*unquoted(given), *label);
        }
    }
}
