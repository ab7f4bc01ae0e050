//! The container's SELinux label on what is mounted for it (config-linux.md, "Mount Label"; mount(8), "context").

use alloc::borrow::Cow;
use alloc::ffi::CString;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, XattrFlags, fsetxattr, openat};

use super::tree::Parameter;
use crate::config::Config;
use crate::error::{Error, Result, Show};

/// The option that says the label, and the label.
pub type Label<'a> = (&'static CStr, &'a CStr);

/// Stands among a filesystem's parameters, but is an attribute of its root directory (xattr(7)).
const ATTRIBUTE: &CStr = c"security.selinux";

/// `linux.mountLabel`, as the option of mount(8) that says it: "context" where no annotation has another.
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

/// How a new filesystem of this kind gets the label: not when SELinux labels its files one by one. Of mqueue,
/// which an IPC namespace has had from its beginning, only the directory can be labelled.
pub fn label_of<'a>(kind: &CStr, label: Label<'a>) -> Option<Label<'a>> {
    match kind.to_bytes() {
        b"proc" | b"sysfs" | b"cgroup" | b"cgroup2" => None,
        b"mqueue" => Some((ATTRIBUTE, label.1)),
        _ => Some(label),
    }
}

/// Whether it is one that the filesystem knows.
pub fn is_parameter((name, _): &Parameter<'_>) -> bool {
    *name != ATTRIBUTE
}

/// Labels a tree's root directory, if that is among its parameters. Where the policy does not let that be, its own
/// label stays, which gives the container no more.
pub fn set_attribute<'a>(tree: &OwnedFd, mut parameters: impl Iterator<Item = Parameter<'a>>) {
    let Some((_, Some(label))) = parameters.find(|parameter| !is_parameter(parameter)) else { return };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let _ = openat(tree, c".", flags, Mode::empty())
        .and_then(|directory| fsetxattr(directory, ATTRIBUTE, label.to_bytes(), XattrFlags::empty()));
}

/// A label without the quotes that mount(8) wants for the commas in it, and fsconfig(2) does not.
pub fn unquoted(label: &CStr) -> Cow<'_, CStr> {
    let inner = label.to_bytes().strip_prefix(b"\"").and_then(|label| label.strip_suffix(b"\""));
    inner.and_then(|inner| CString::new(inner).ok()).map_or(label.into(), Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_filesystem_gets_it_in_its_way() {
        let label = (c"context", c"a:b:c:s0");
        assert_eq!(label_of(c"tmpfs", label), Some(label));
        assert_eq!(label_of(c"mqueue", label), Some((ATTRIBUTE, c"a:b:c:s0")));
        for kind in [c"proc", c"sysfs", c"cgroup", c"cgroup2"] {
            assert_eq!(label_of(kind, label), None);
        }
    }

    #[test]
    fn quotes_stand_at_both_ends() {
        for (given, label) in [(c"\"a:s0:c1,c2\"", c"a:s0:c1,c2"), (c"a:s0", c"a:s0"), (c"\"", c"\"")] {
            assert_eq!(*unquoted(given), *label);
        }
    }
}
