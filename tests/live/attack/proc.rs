//! A /proc that an image has prepared. What the runtime writes to procfs must reach the kernel, and masked and
//! read-only paths below /proc must be masked and read-only.

use std::fs;
use std::os::unix::fs::symlink;

use super::only_mote;
use crate::bundle::Bundle;
use crate::check::{Outcome, different, same};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "attack",
    proc_is_a_directory_of_an_image,
    proc_is_a_tmpfs_of_an_image,
    profile_with_proc_as_a_directory_of_an_image_is_rejected,
    proc_is_a_link_into_a_volume,
    proc_is_a_link_into_the_image,
];

const FILES: &[&str] =
    &["sys/kernel/msgmax", "self/oom_score_adj", "self/attr/exec", "self/attr/apparmor/exec"];

/// CVE-2019-16884, CVE-2025-52881, CVE-2025-62596 (youki): a volume mounted at /proc contains files with the names of
/// those that the runtime writes to, or links to other files of procfs.
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

/// runc and crun may reject whatever is mounted over /proc.
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

/// A profile that cannot be set must not be ignored silently.
fn profile_with_proc_as_a_directory_of_an_image_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
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

/// Rejected, or protected like a real procfs.
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

/// CVE-2019-19921, CVE-2023-27561: if /proc is a symlink into a volume that two containers share, the other container
/// could exchange its target between the mount and the masks.
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

/// CVE-2023-28642: a symlink within the image must not bypass masks and profiles either.
fn proc_is_a_link_into_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("elsewhere"))?;
    fs::remove_dir(bundle.host_path("proc"))?;
    symlink("elsewhere", bundle.host_path("proc"))?;
    protected(rig, &mut bundle)
}
