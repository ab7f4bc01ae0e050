//! SELinux labels of processes and mounts. Valid labels depend on the policy, so the tests use those of the suite and
//! of its files.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::apparmor::{CURRENT, bundle, exec, failed_with};
use crate::check::{Outcome, contains, different, same, skip_allowed};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "process",
    selinux_label,
    selinux_label_of_mounts,
    selinux_label_in_an_option_of_a_mount,
    selinux_label_unknown_is_rejected,
    selinux_label_without_selinux_is_rejected,
];

/// Whether a policy is loaded; without one, labels are single words.
fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
        && fs::read_to_string(CURRENT).is_ok_and(|label| label.contains(':'))
}

fn needs_selinux() -> Outcome {
    if has_selinux() { Ok(()) } else { skip_allowed("no SELinux") }
}

fn trimmed(label: &str) -> &str {
    label.trim_end_matches(['\0', '\n'])
}

/// With the label of the suite, which is certainly valid; before `start` it is in /proc/PID/attr/exec.
fn selinux_label(rig: &mut Rig) -> Outcome {
    needs_selinux()?;
    let own = fs::read_to_string(CURRENT)?;
    let mut bundle = bundle(rig, "")?;
    bundle.set("process.selinuxLabel", trimmed(&own));
    bundle.verbs(&["read", CURRENT, "say", "end", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    let attributes = Path::new("/proc").join(rig.pid()?.to_string()).join("attr");
    same("the label of the program", trimmed(&fs::read_to_string(attributes.join("exec"))?), trimmed(&own))?;
    // runc does not set it.
    if !rig.is(Runtime::Runc) {
        same("the label of keys", fs::read_to_string(attributes.join("keycreate"))?, "")?;
    }
    rig.mote(&["start", &rig.id])?.success()?;
    let inside = running.lines.until("say=end")?;
    same("inside", trimmed(inside.get(&format!("read:{CURRENT}"))), trimmed(&own))?;
    let inside = exec(rig, &["--process-label", trimmed(&own)])?.success()?.report();
    same("the label of exec", trimmed(inside.get(&format!("read:{CURRENT}"))), trimmed(&own))?;
    rig.delete()
}

/// The label of a file, which is also valid for a mount.
fn label_of(path: &Path) -> Outcome<String> {
    let mut space = [0u8; 512];
    let count = rustix::fs::getxattr(path.as_os_str().as_bytes(), "security.selinux", &mut space[..])
        .map_err(|errno| format!("{}: {errno}", path.display()))?;
    let label = String::from_utf8_lossy(space.get(..count).unwrap_or_default()).into_owned();
    Ok(trimmed(&label).to_string())
}

fn selinux_label_of_mounts(rig: &mut Rig) -> Outcome {
    needs_selinux()?;
    let label = label_of(&rig.dir)?;
    let mut bundle = bundle(rig, "")?;
    bundle.set("linux.mountLabel", label.as_str());
    bundle.verbs(&["mounts", "say", "end", "wait", "1"]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    let inside = running.lines.until("say=end")?;
    for place in ["/dev", "/dev/pts", "/dev/shm"] {
        let mount = inside.get(&format!("mount:{place}"));
        contains(place, mount, "context=")?;
        contains(place, mount, &label)?;
    }
    let root = format!("/proc/{}/root", rig.pid()?);
    for place in ["dev", "dev/null", "dev/mqueue"] {
        same(place, label_of(&Path::new(&root).join(place))?, label.clone())?;
    }
    different("/proc", label_of(&Path::new(&root).join("proc"))?, label)?;
    rig.delete()
}

/// In quotes, as in mount(8).
fn selinux_label_in_an_option_of_a_mount(rig: &mut Rig) -> Outcome {
    needs_selinux()?;
    let label = label_of(&rig.dir)?;
    let mut bundle = bundle(rig, "")?;
    let options = ["size=64k".to_string(), format!("context=\"{label}\"")].to_vec();
    bundle.mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": options}));
    contains("the mount options", rig.report(&mut bundle, &["mounts"])?.get("mount:/run"), &label)
}

fn selinux_label_unknown_is_rejected(rig: &mut Rig) -> Outcome {
    needs_selinux()?;
    let mut labelled = bundle(rig, "")?;
    labelled.set("process.selinuxLabel", "nobody_u:nobody_r:nobody_t:s0");
    rig.rejected(&labelled, &["process.selinuxLabel", "`/proc/self/attr/", "invalid argument"])?;
    rig.waiting(&mut bundle(rig, "")?)?;
    failed_with(rig, &exec(rig, &["--process-label", "nobody"])?, "process.selinuxLabel")?;
    rig.delete()
}

fn selinux_label_without_selinux_is_rejected(rig: &mut Rig) -> Outcome {
    if has_selinux() {
        return skip_allowed("SELinux is enabled");
    }
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun ignores it");
    }
    let label = "system_u:system_r:container_t:s0:c1,c2";
    let mut labelled = bundle(rig, "")?;
    labelled.set("process.selinuxLabel", label);
    rig.rejected(&labelled, &["process.selinuxLabel", label, "`/proc/self/attr/"])?;
    rig.waiting(&mut bundle(rig, "")?)?;
    failed_with(rig, &exec(rig, &["--process-label", label])?, "process.selinuxLabel")?;
    rig.delete()
}
