//! Images with other files at the paths of terminals: rejected, or harmless. See also `cve/device.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use super::screen::Screen;
use super::{bundle, container, exec, only_mote};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, lacks, same};
use crate::command::run;
use crate::rig::Rig;
use crate::tests;

tests![
    "terminal",
    no_devpts_is_rejected,
    directory_in_place_of_devpts_is_rejected,
    link_in_place_of_devpts_is_rejected,
    link_in_place_of_ptmx,
    exec_where_devpts_is_covered_is_rejected,
];

fn no_devpts_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["say", "ran"])?;
    bundle.without_mount("/dev/pts");
    rig.rejected(&bundle, &["process.terminal", "/dev/pts"])
}

/// The image's own /dev, without a mount.
pub fn with_devices_of_the_image(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = bundle(rig, &["tty", "id", "mounts"])?;
    for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.without_mount(place);
    }
    bundle.file("/etc/victim", "as it was")?;
    Ok(bundle)
}

fn directory_in_place_of_devpts_is_rejected(rig: &mut Rig) -> Outcome {
    let bundle = with_devices_of_the_image(rig)?;
    bundle.file("/dev/pts/0", "")?;
    bundle.file("/dev/pts/ptmx", "")?;
    rig.rejected(&bundle, &["process.terminal", "/dev/pts"])
}

fn link_in_place_of_devpts_is_rejected(rig: &mut Rig) -> Outcome {
    for target in ["/etc", "/proc/self/cwd", "../../../../../../../../dev/pts"] {
        let bundle = with_devices_of_the_image(rig)?;
        symlink(target, bundle.host_path("dev/pts"))?;
        rig.rejected(&bundle, &["process.terminal"])?;
    }
    Ok(())
}

/// Checks that the container has a terminal of its own devpts and no devpts at other paths, or that it is rejected.
pub fn harmless(rig: &Rig, bundle: &Bundle) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut rig.launch("run", bundle, &[])?)?;
    let output = screen.finish(running)?;
    same("the victim", fs::read_to_string(bundle.host_path("etc/victim"))?.as_str(), "as it was")?;
    if output.code() != 0 {
        rig.failure(&output, &["/dev/"])?;
        return rig.nothing_left();
    }
    let inside = output.report();
    inside.is("tty:0", "/dev/pts/0")?;
    for place in inside.keys("mount:") {
        if place.starts_with("/proc/") {
            lacks("the mount", inside.get(&format!("mount:{place}")), "devpts")?;
        }
    }
    Ok(())
}

pub fn with_devpts(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = with_devices_of_the_image(rig)?;
    fs::create_dir_all(bundle.host_path("dev/pts"))?;
    let options = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    bundle.mount(crate::json!({
        "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options
    }));
    Ok(bundle)
}

fn link_in_place_of_ptmx(rig: &mut Rig) -> Outcome {
    for target in ["/etc/victim", "/etc/none", "/proc/self/mem"] {
        let bundle = with_devpts(rig)?;
        symlink(target, bundle.host_path("dev/ptmx"))?;
        harmless(rig, &bundle)?;
    }
    Ok(())
}

/// The container's root has covered devpts with another mount.
fn exec_where_devpts_is_covered_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let inside = run(
        &mut rig.command(&["exec", "-c", "CAP_SYS_ADMIN", &rig.id, "/payload", "mount", "/dev/pts"]),
        "",
    )?;
    inside.report().is("mount:/dev/pts", "ok")?;
    let output = run(&mut exec(rig, &[], &["say", "ran"]), "")?;
    if output.stdout.contains("ran") {
        return fail("the program ran");
    }
    same("exit code", output.code(), 255)?;
    contains("the error", &output.stderr, "devpts")?;
    rig.delete()
}
