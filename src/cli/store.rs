//! The directory for the state of all containers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use mote::internal::error::{Error, Result};
use mote::internal::host;
use rustix::fs::{Access, AtFlags, CWD, accessat, stat};
use rustix::process::{getcwd, geteuid};

use super::options::Matches;
use crate::start::variable;

/// The directory of root.
const SYSTEM: &str = "/run/mote";

/// The path of `--root`, and whether other users can write to the directory above it. By default it is `/run/mote` for
/// root, and a directory of the user for others.
pub fn root(global: &Matches) -> Result<(String, bool)> {
    let Some(root) = global.text("root")? else { return Ok(default()) };
    if root.starts_with('/') {
        let trimmed = root.trim_end_matches('/');
        return Ok((if trimmed.is_empty() { "/" } else { trimmed }.into(), false));
    }
    let here = getcwd(Vec::new()).ok().and_then(|here| here.into_string().ok());
    let here = here.ok_or_else(|| Error::invalid(format_args!("--root {root}: no working directory")))?;
    Ok((format!("{here}/{root}"), false))
}

fn default() -> (String, bool) {
    let is_root = geteuid().is_root();
    match is_root && !host::in_user_namespace() {
        true => (SYSTEM.into(), false),
        false => of_user(is_root),
    }
}

/// `$XDG_RUNTIME_DIR/mote`, or without this variable: `/run/mote` for the root of a user namespace that may write there,
/// or `/run/user/UID/mote`, the directory of the user's session even if the variable is not set (su(1), cron(8)), or
/// `/tmp/mote-UID`.
#[cold]
#[inline(never)]
fn of_user(is_root: bool) -> (String, bool) {
    let own = variable("XDG_RUNTIME_DIR").and_then(|directory| directory.to_str().ok());
    let own = own.filter(|directory| directory.starts_with('/'));
    if let Some(own) = own {
        return (format!("{own}/mote"), false);
    }
    let is_writable = |path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    if is_root && (is_writable(SYSTEM) || stat(SYSTEM).is_err() && is_writable("/run")) {
        return (SYSTEM.into(), false);
    }
    let user = geteuid().as_raw();
    let session = format!("/run/user/{user}");
    match stat(session.as_str()).is_ok_and(|found| found.st_uid == user && found.st_mode & 0o022 == 0) {
        true => (format!("{session}/mote"), false),
        false => (format!("/tmp/mote-{user}"), true),
    }
}
