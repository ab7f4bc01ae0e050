//! The error that systemd cannot be reached: the addresses that were tried, and what the user has to do.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::fs::{Access, access};

use crate::error::{Error, Kind};
use crate::host;

/// Joins the errors of all addresses. For a `user`, what makes the user's systemd reachable is added, and for a new
/// container (`is_new`) the cgroup manager that needs no systemd.
#[cold]
#[inline(never)]
pub fn error(errors: Vec<Error>, user: bool, is_new: bool) -> Error {
    let all = match errors.as_slice() {
        [] => "XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS have no address of a bus".into(),
        errors => errors.iter().map(Error::to_string).collect::<Vec<_>>().join("; "),
    };
    let mut error = Error::new(Kind::System, format_args!("{all}"));
    if !user {
        return error;
    }
    let exists = |path: &str| access(path, Access::EXISTS).is_ok();
    let uid = host::outer_uid();
    let runtime = format!("/run/user/{uid}");
    let is_known = errors.iter().any(|error| error.text().contains(&runtime));
    // sd_booted(3)
    let advice = match exists("/run/systemd/system") {
        false => String::from("systemd is not running on this host"),
        true if !is_known && exists(&format!("{runtime}/systemd/private")) => {
            format!("set XDG_RUNTIME_DIR={runtime}")
        }
        true => {
            format!("start the user manager (loginctl enable-linger {uid}) and set XDG_RUNTIME_DIR={runtime}")
        }
    };
    // So that long addresses leave room for the rest.
    error.shorten(280);
    let other = if is_new { ", or use --cgroup-manager cgroupfs" } else { "" };
    error.append(format_args!("; {advice}{other}"));
    error
}
