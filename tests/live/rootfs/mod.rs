//! The root filesystem: mounts, devices, masks, and protection against paths that lead out of it.

pub mod attack;
pub mod bind;
pub mod cgroup;
pub mod default_files;
pub mod device;
pub mod host_mounts;
pub mod idmap;
pub mod long_options;
pub mod many_mounts;
pub mod mask;
pub mod mount;
pub mod mount_error;
pub mod order;
pub mod over_root;
pub mod propagation;
pub mod root;
pub mod shared;
pub mod symlink;

use std::fs;
use std::path::PathBuf;

use crate::check::{Outcome, skip};
use crate::rig::Rig;
use crate::sys;

/// A directory on the host with one file, the source of bind mounts.
fn source(rig: &Rig) -> Outcome<PathBuf> {
    let dir = rig.dir.join("source");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("file"), "from the host")?;
    Ok(dir)
}

/// Skips the test if the kernel has no overlayfs, built in or as a module.
fn has_overlay(rig: &Rig) -> Outcome {
    match sys::mount("none", &rig.dir, "overlay", 0, "") {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => skip("this kernel has no overlay"),
        _ => Ok(()),
    }
}

/// Skips the test if its directory is on the initramfs, whose mounts cannot be idmapped.
pub fn is_not_on_initramfs(rig: &Rig) -> Outcome {
    match is_on_initramfs(rig)? {
        true => skip("mounts of an initramfs cannot be idmapped"),
        false => Ok(()),
    }
}

fn is_on_initramfs(rig: &Rig) -> Outcome<bool> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    let holds = |words: &Vec<&str>| words.get(1).is_some_and(|place| rig.dir.starts_with(place));
    let last = table.lines().map(|line| line.split(' ').collect()).filter(holds).last();
    Ok(last.is_some_and(|words| words.get(2) == Some(&"rootfs")))
}
