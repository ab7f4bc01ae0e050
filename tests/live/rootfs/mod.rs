//! The root file system: mounts, devices, masks, and that nothing reaches outside.

pub mod attack;
pub mod bind;
pub mod cgroup;
pub mod device;
pub mod idmap;
pub mod long;
pub mod many;
pub mod mask;
pub mod mount;
pub mod order;
pub mod over;
pub mod own;
pub mod propagation;
pub mod refused;
pub mod root;
pub mod symlink;

use std::fs;
use std::path::PathBuf;

use crate::check::Outcome;
use crate::rig::Rig;

/// A directory on the host with one file, to be bound into containers.
fn source(rig: &Rig) -> Outcome<PathBuf> {
    let dir = rig.dir.join("source");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("file"), "from the host")?;
    Ok(dir)
}
