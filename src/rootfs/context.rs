//! The values of other rooms that the plan of the root filesystem depends on.

use core::ffi::CStr;

use super::cgroup::View;
use super::idmap::UserNamespace;
use super::label::Label;

/// The results of other plans, and options.
#[derive(Debug)]
pub struct Context<'a, 'm> {
    /// The bundle's directory, absolute.
    pub bundle: &'a CStr,
    pub user: Option<UserNamespace<'m>>,
    /// pivot_root, or chroot with `--no-pivot`.
    pub pivot: bool,
    /// The SELinux label of new filesystems, as the option that says it.
    pub label: Option<Label<'a>>,
    /// There are hooks that look for what is mounted at the bundle's own path.
    pub in_place: bool,
    pub cgroup: View<'a>,
}
