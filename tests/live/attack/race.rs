//! A container that changes a volume while another one with the same volume is started.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{second, until};
use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, lacks};
use crate::json;
use crate::rig::Rig;
use crate::rootfs::attack::{untouched, victim};
use crate::tests;

tests!["attack", volume_is_exchanged_for_a_link, mask_is_exchanged_for_a_link];

const STARTS: usize = 100;

/// A container exchanges `/volume/one` and `/volume/two` while others are started.
fn while_exchanged(rig: &mut Rig, volume: &Path, act: impl FnOnce(&Rig, &mut Bundle) -> Outcome) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.bind(volume, "/volume", &["rbind"]);
    bundle.verbs(&["exchange", "/volume/one", "/volume/two"]);
    let mut running = until(rig, &bundle, "exchange=ok")?;
    let (first, mut bundle) = second(rig)?;
    bundle.bind(volume, "/volume", &["rbind"]);
    act(rig, &mut bundle)?;
    rig.id = first;
    running.write("enough\n")?;
    let count: u32 = running.finish()?.success()?.report().get("exchanged").parse()?;
    holds(&format!("{count} exchanges are more than 300"), count > 300)
}

/// CVE-2021-30465, CVE-2024-45310: a directory is checked, and is a symlink to the host when something is mounted on it
/// or created in it.
fn volume_is_exchanged_for_a_link(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let volume = rig.dir.join("volume");
    fs::create_dir_all(volume.join("one/dir"))?;
    fs::write(volume.join("one/secret"), "the volume's")?;
    symlink(&victim, volume.join("two"))?;
    let file = rig.dir.join("file");
    fs::write(&file, "")?;
    while_exchanged(rig, &volume, |rig, bundle| {
        for place in ["/volume/one/dir", "/volume/one/new/deep", "/volume/two/dir"] {
            bundle.mount(json!({"destination": place, "type": "tmpfs", "source": "tmpfs"}));
        }
        bundle.bind(&file, "/volume/one/secret", &["bind"]);
        bundle.bind(&file, "/volume/one/file", &["bind"]);
        bundle.set("linux.readonlyPaths[+]", "/volume/one");
        bundle.set("process.cwd", "/volume/one/cwd");
        bundle.verbs(&["mounts"]);
        for _ in 0..STARTS {
            let output = rig.run(bundle, &[])?;
            untouched(&victim)?;
            // A path may have changed between two steps, so that it does not exist.
            if output.code() != 0 {
                rig.failure(&output, &[])?;
                continue;
            }
            let inside = output.report();
            for place in inside.keys("mount:") {
                let line = inside.get(&format!("mount:{place}"));
                let root = line.split(' ').nth(3).unwrap_or("");
                if root.contains("/victim") && !root.contains("/rootfs/") {
                    return fail(format_args!("a mount shows the host's directory: {line}"));
                }
            }
        }
        Ok(())
    })?;
    untouched(&victim)
}

/// CVE-2025-31133, CVE-2025-62161 (youki): a masked file is covered by the null device and nothing else, and no file of
/// the host is covered.
fn mask_is_exchanged_for_a_link(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let volume = rig.dir.join("volume");
    fs::create_dir_all(volume.join("one"))?;
    crate::sys::mknod(&volume.join("one/null"), libc::S_IFCHR | 0o666, 1, 3)?;
    fs::create_dir_all(volume.join("two"))?;
    symlink("/etc/secret", volume.join("two/null"))?;
    while_exchanged(rig, &volume, |rig, bundle| {
        bundle.without_mount("/dev");
        bundle.file("/etc/secret", "secret")?;
        bundle.file("/etc/hidden", "hidden")?;
        fs::remove_dir_all(bundle.host_path("dev"))?;
        symlink("volume/one", bundle.host_path("dev"))?;
        for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(mount);
        }
        bundle.set("linux.maskedPaths", json!(["/etc/hidden"]));
        bundle.verbs(&["read", "/etc/hidden"]);
        for _ in 0..STARTS / 3 {
            let output = rig.run(bundle, &[])?;
            untouched(&victim)?;
            lacks("the output", &output.stdout, "=hidden")?;
            lacks("the output", &output.stdout, "=secret")?;
            if output.code() != 0 {
                rig.failure(&output, &[])?;
            }
        }
        Ok(())
    })
}
