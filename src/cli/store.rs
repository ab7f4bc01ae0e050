//! The directory for the state of all containers.

use std::env;

use mote::container::store::directory::Store;
use mote::error::{Error, Result};
use mote::host;
use rustix::fs::{Access, AtFlags, CWD, accessat, stat};
use rustix::process::geteuid;

use super::options::Matches;

/// The directory of root.
const SYSTEM: &str = "/run/mote";

/// The store at `--root`. By default it is `/run/mote` for root, and a directory of the user for others.
pub fn open(global: &Matches) -> Result<Store> {
    let Some(root) = global.text("root")? else { return Ok(default()) };
    if root.starts_with('/') {
        return Ok(Store::new(root.trim_end_matches('/').into()));
    }
    let here = env::current_dir().ok().and_then(|here| here.into_os_string().into_string().ok());
    let here = here.ok_or_else(|| Error::invalid(format_args!("--root {root}: no working directory")))?;
    Ok(Store::new(format!("{here}/{root}")))
}

fn default() -> Store {
    let is_root = geteuid().is_root();
    match is_root && !host::in_user_namespace() {
        true => Store::new(SYSTEM.into()),
        false => of_user(is_root),
    }
}

/// `$XDG_RUNTIME_DIR/mote`, or without this variable: `/run/mote` for the root of a user namespace that may write there,
/// or `/run/user/UID/mote`, the directory of the user's session even if the variable is not set (su(1), cron(8)), or
/// `/tmp/mote-UID`.
#[cold]
#[inline(never)]
fn of_user(is_root: bool) -> Store {
    let own = env::var("XDG_RUNTIME_DIR").ok().filter(|directory| directory.starts_with('/'));
    if let Some(own) = own {
        return Store::new(format!("{own}/mote"));
    }
    let is_writable = |path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    if is_root && (is_writable(SYSTEM) || stat(SYSTEM).is_err() && is_writable("/run")) {
        return Store::new(SYSTEM.into());
    }
    let user = geteuid().as_raw();
    let session = format!("/run/user/{user}");
    match stat(session.as_str()).is_ok_and(|found| found.st_uid == user && found.st_mode & 0o022 == 0) {
        true => Store::new(format!("{session}/mote")),
        false => Store::in_shared_directory(format!("/tmp/mote-{user}")),
    }
}
