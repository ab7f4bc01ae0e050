//! Destinations of mounts that are symlinks of the image. See also `race.rs`, and `rootfs/attack.rs` for more of them.

use std::os::unix::fs::symlink;

use crate::check::{Outcome, contains};
use crate::rig::Rig;
use crate::rootfs::attack::{host_is_unchanged, tmpfs, victim};
use crate::tests;

tests!["cve", cve_2019_18837_destination_is_a_link];

/// CVE-2019-18837 (crun before 0.10.5): the last name of a destination was a symlink to a directory of the host, on
/// which the mount was made. mote follows the link within the root, so that the mount is in the container. Neither
/// crun 1.8.1 nor runc 1.1.5 has the error; succeeds against mote without RESOLVE_IN_ROOT.
fn cve_2019_18837_destination_is_a_link(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    symlink(victim.join("dir"), bundle.host_path("way"))?;
    tmpfs(&mut bundle, "/way");
    host_is_unchanged(rig, &mut bundle, &victim)?;
    let inside = rig.report(&mut bundle, &["mounts"])?;
    let place = victim.join("dir").display().to_string();
    contains("the mount in the container", inside.get(&format!("mount:{place}")), " - tmpfs ")
}
