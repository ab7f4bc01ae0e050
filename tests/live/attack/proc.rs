//! /proc as an image would like it to be. What the runtime says to the kernel through procfs must reach the kernel,
//! and what is masked or read-only there must be so.

use std::fs;
use std::os::unix::fs::symlink;

use super::asks_mote_alone;
use crate::bundle::Bundle;
use crate::check::{Outcome, different, same};
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::tests;

tests![
    "attack",
    proc_is_a_directory_of_an_image,
    proc_is_a_tmpfs_of_an_image,
    proc_is_a_directory_of_an_image_and_a_profile_is_wanted,
    proc_is_a_link_into_a_volume,
    proc_is_a_link_into_the_image,
];

const FILES: &[&str] =
    &["sys/kernel/msgmax", "self/oom_score_adj", "self/attr/exec", "self/attr/apparmor/exec"];

/// CVE-2019-16884, CVE-2025-52881, CVE-2025-62596 (youki): a volume at /proc has files of the names that are
/// written to, or links to other files of the kernel's.
fn proc_is_a_directory_of_an_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let volume = rig.dir.join("volume");
    for file in FILES {
        let path = volume.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&volume))?;
        fs::write(&path, "the image's")?;
    }
    bundle.bind(&volume, "/proc", &["rbind"]);
    written_to_the_kernel(rig, &mut bundle)?;
    for file in FILES {
        same(file, fs::read_to_string(volume.join(file))?.as_str(), "the image's")?;
    }
    Ok(())
}

fn proc_is_a_tmpfs_of_an_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}));
    written_to_the_kernel(rig, &mut bundle)
}

/// A peer may refuse whatever is mounted over /proc.
fn written_to_the_kernel(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    bundle.mount(json!({"destination": "/real", "type": "proc", "source": "proc"}));
    bundle.set("linux.sysctl.\"kernel.msgmax\"", "5004");
    bundle.set("process.oomScoreAdj", 321i64);
    bundle.verbs(&["read", "/real/sys/kernel/msgmax", "read", "/real/self/oom_score_adj"]);
    let output = rig.run(bundle, &[])?;
    if !rig.is(Runtime::Mote) && output.code() != 0 {
        return Ok(());
    }
    let inside = output.success()?.report();
    inside.is("read:/real/sys/kernel/msgmax", "5004\n")?;
    inside.is("read:/real/self/oom_score_adj", "321\n")
}

/// A profile that cannot be set is not left out in silence.
fn proc_is_a_directory_of_an_image_and_a_profile_is_wanted(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
    for (field, value) in [("process.apparmorProfile", "a-profile"), ("process.selinuxLabel", "a:b:c:s0")] {
        let mut bundle = rig.bundle()?;
        bundle.mount(json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}));
        bundle.set(field, value);
        bundle.verbs(&["say", "here"]);
        let output = rig.run(&bundle, &[])?;
        different("exit code", output.code(), 0)?;
        same("the standard output", output.stdout.as_str(), "")?;
        rig.nothing_left()?;
    }
    Ok(())
}

/// DeniedCalls, or as well protected as the real one.
fn protected(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    let hostname = "/proc/sys/kernel/hostname";
    bundle.verbs(&["write", hostname, "read", "/proc/timer_list"]);
    let output = rig.run(bundle, &[])?;
    if output.code() != 0 {
        return rig.failure(&output, &["/proc"]);
    }
    let inside = output.success()?.report();
    different("a write below /proc/sys", inside.get(&format!("write:{hostname}")), "ok")?;
    different("a masked file", inside.get("read:/proc/timer_list").is_empty(), false)
}

/// CVE-2019-19921, CVE-2023-27561: in a volume that two containers share, the other one could exchange what /proc
/// leads to between its mount and its masks.
fn proc_is_a_link_into_a_volume(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let volume = rig.dir.join("volume");
    fs::create_dir_all(volume.join("one"))?;
    fs::remove_dir(bundle.host_path("proc"))?;
    symlink("volume/one", bundle.host_path("proc"))?;
    bundle.without_mount("/proc");
    bundle.bind(&volume, "/volume", &["bind"]);
    bundle.mount(json!({"destination": "/proc", "type": "proc", "source": "proc"}));
    protected(rig, &mut bundle)?;
    if rig.is(Runtime::Mote) {
        return rig.failure(&rig.run(&bundle, &[])?, &["mounts[", "/proc"]);
    }
    Ok(())
}

/// CVE-2023-28642: and a link within the image must not lead beside masks and profiles.
fn proc_is_a_link_into_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("elsewhere"))?;
    fs::remove_dir(bundle.host_path("proc"))?;
    symlink("elsewhere", bundle.host_path("proc"))?;
    protected(rig, &mut bundle)
}
