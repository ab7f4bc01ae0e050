//! Why setns(2) refused a namespace.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::config::linux::NamespaceKind as Kind;
use crate::error::Error;
use crate::sys::namespace::{kind as kind_of, owner};

/// The error of joining a namespace of `kind`, whose `CLONE_NEW*` flag is `flag`. `is_own` is whether a user namespace is
/// that of this process.
#[cold]
#[inline(never)]
pub(super) fn explain(
    errno: Errno,
    (kind, flag): (Kind, u32),
    namespace: &OwnedFd,
    is_own: impl Fn(&OwnedFd) -> bool,
) -> Error {
    let name = kind.name();
    match (errno, kind) {
        (Errno::INVAL, _) if kind_of(namespace) != Ok(flag) => {
            Error::invalid(format_args!("not a {name} namespace to join"))
        }
        (Errno::INVAL, Kind::User) => Error::invalid(format_args!("mote is in this user namespace already")),
        (Errno::INVAL, Kind::Pid) => {
            Error::system(errno, format_args!("setns (not below the pid namespace of this process)"))
        }
        (Errno::PERM, Kind::User) => Error::system(
            errno,
            format_args!("setns (needs CAP_SYS_ADMIN in the user namespace that is joined)"),
        ),
        (Errno::PERM, _) => {
            let rights =
                if kind == Kind::Mount { "CAP_SYS_ADMIN and CAP_SYS_CHROOT" } else { "CAP_SYS_ADMIN" };
            let owner = owner(namespace).map(|owner| is_own(&owner));
            let owner = match owner {
                Ok(true) => "mote's own user namespace",
                Ok(false) => "another user namespace, below mote's own",
                Err(_) => "another user namespace, above or beside mote's own",
            };
            let text = format_args!("setns (needs {rights} in {owner}, which owns this {name} namespace)");
            Error::system(errno, text)
        }
        _ => Error::system(errno, format_args!("setns")),
    }
}
