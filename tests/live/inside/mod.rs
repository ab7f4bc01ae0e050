//! mote inside something else: a chroot, a container, a sandbox, with less than a host usually has.

pub mod chroot;
pub mod engine;
pub mod image;
pub mod limit;
pub mod procfs;
pub mod surroundings;

use std::io::Result;
use std::path::Path;

use crate::bundle::Bundle;
use crate::check::{Outcome, same};
use crate::rig::Rig;
use crate::sys;

/// Gives the calling process a mount namespace of its own. The mounts of the suite are private.
fn own_mounts() -> Result<()> {
    sys::unshare(libc::CLONE_NEWNS)
}

/// Mounts a filesystem at a path of the host.
fn mount(kind: &str, path: &str, options: &str) -> Result<()> {
    sys::mount(kind, Path::new(path), kind, 0, options)
}

/// `run`, and all commands from `create` to `delete`, each in the surroundings of the rig.
fn lifecycle(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    let inside = rig.report(bundle, &["id", "uts"])?;
    inside.is("pid", "1")?;
    inside.is("hostname", "inside")?;
    rig.nothing_left()?;
    let _running = rig.waiting(bundle)?;
    rig.status_is("running")?;
    let exec = rig.mote(&["exec", &rig.id, "/payload", "id", "uts"])?.success()?.report();
    exec.is("hostname", "inside")?;
    let missing = rig.mote(&["exec", &rig.id, "/missing"])?;
    same("exit code for a missing program", missing.code(), 127)?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    rig.delete()?;
    rig.nothing_left()
}
