//! The error that systemd cannot be reached: the addresses that were tried, and what the user has to do.

use alloc::ffi::CString;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rustix::fs::{Access, access};
use rustix::net::SocketType;

use crate::error::{Error, Kind};
use crate::host;
use crate::os::scm_rights;

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
    let uid = host::outer_uid();
    let runtime = format!("/run/user/{uid}");
    let is_known = errors.iter().any(|error| error.text().contains(&runtime));
    // sd_booted(3)
    let advice = match access("/run/systemd/system", Access::EXISTS).is_ok() {
        false => String::from("systemd is not running on this host"),
        true if !is_known && listens(format!("{runtime}/systemd/private")) => {
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

/// Whether a process listens at the socket with this path: the socket of a user manager that has ended stays until its
/// directory is removed, which is later.
fn listens(path: String) -> bool {
    CString::new(path).is_ok_and(|path| scm_rights::connect(&path, SocketType::STREAM).is_ok())
}
