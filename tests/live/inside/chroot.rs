//! mote in a chroot.

use std::io::Result;
use std::path::Path;

use crate::check::{Outcome, same};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "inside",
    chroot_into_a_mount,
    chroot_into_a_directory,
    chroot_with_hooks,
    chroot_with_hooks_before_the_root,
];

/// Makes a chroot, in a new mount namespace, that shows everything of the host at the same paths, and enters it.
fn enter_chroot(dir: &Path, place: &str) -> Result<()> {
    sys::unshare(libc::CLONE_NEWNS)?;
    let chroot = dir.join(place);
    std::fs::create_dir_all(&chroot)?;
    match place {
        "mount" => {
            let all = libc::MS_BIND | libc::MS_REC;
            sys::mount("/", &chroot, "", all, "")?;
        }
        _ => {
            for entry in std::fs::read_dir("/")?.flatten() {
                let (from, to) = (entry.path(), chroot.join(entry.file_name()));
                if from.is_dir() && !from.is_symlink() {
                    std::fs::create_dir_all(&to)?;
                    sys::mount(&from.display().to_string(), &to, "", libc::MS_BIND | libc::MS_REC, "")?;
                } else if let Ok(target) = std::fs::read_link(&from)
                    && !to.is_symlink()
                {
                    std::os::unix::fs::symlink(target, to)?;
                }
            }
        }
    }
    std::os::unix::fs::chroot(&chroot)?;
    std::env::set_current_dir("/")
}

/// A process that calls chroot(2) once more leaves a root that is below the root of the mount namespace.
fn nothing_is_above(rig: &mut Rig, hooks: &str) -> Outcome {
    let host = std::fs::read_to_string("/proc/self/mountinfo")?;
    for options in [&[][..], &["--no-pivot"]] {
        let mut bundle = rig.bundle()?;
        if !hooks.is_empty() {
            bundle.set(&format!("hooks.{hooks}"), json!([{"path": "/bin/true"}]));
        }
        for set in ["bounding", "effective", "permitted"] {
            bundle.set(&format!("process.capabilities.{set}[+]"), "CAP_SYS_CHROOT");
        }
        bundle.verbs(&["list", "/", "mounts", "climb"]);
        let inside = rig.run(&bundle, options)?.success()?.report();
        inside.is("climb", "dev etc payload proc sys tmp")?;
        inside.is("list:/", "dev etc payload proc sys tmp")?;
        same("mounts at /", inside.all("mount:/").len(), 1)?;
    }
    // Detaching the old root must not propagate.
    same("mounts of the host", std::fs::read_to_string("/proc/self/mountinfo")?, host)?;
    rig.nothing_left()
}

fn chroot_into_a_mount(rig: &mut Rig) -> Outcome {
    rig.around = Some(|dir| enter_chroot(dir, "mount"));
    nothing_is_above(rig, "")
}

fn chroot_into_a_directory(rig: &mut Rig) -> Outcome {
    rig.around = Some(|dir| enter_chroot(dir, "directory"));
    nothing_is_above(rig, "")
}

fn chroot_with_hooks(rig: &mut Rig) -> Outcome {
    rig.around = Some(|dir| enter_chroot(dir, "directory"));
    nothing_is_above(rig, "createRuntime")
}

fn chroot_with_hooks_before_the_root(rig: &mut Rig) -> Outcome {
    rig.around = Some(|dir| enter_chroot(dir, "mount"));
    nothing_is_above(rig, "createContainer")
}
