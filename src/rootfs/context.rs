//! Values from other directories that the plan of the root filesystem depends on.

use core::ffi::CStr;

use super::cgroup::View;
use super::idmap::UserNamespace;
use super::label::Label;

/// Results of other plans, and options of the command line.
#[derive(Debug)]
pub struct Context<'a, 'm> {
    /// The bundle's directory, absolute.
    pub bundle: &'a CStr,
    pub user: Option<UserNamespace<'m>>,
    /// pivot_root(2), or chroot(2) with `--no-pivot`.
    pub pivot: bool,
    /// The SELinux label of new filesystems, as a mount option.
    pub label: Option<Label<'a>>,
    /// Whether the root is attached at its path in the bundle, because there are hooks that use it there.
    pub in_place: bool,
    /// Whether the container has a mount namespace.
    pub own_mounts: bool,
    /// Whether the network namespace is new.
    pub own_network: bool,
    pub cgroup: View<'a>,
}
