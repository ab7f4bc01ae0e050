//! Masked paths: images in which /dev/null, of which masks are made, is another file (see also `race.rs`), and those
//! that `spec` writes.

use std::fs;
use std::os::unix::fs::symlink;

use crate::check::{Outcome, holds};
use crate::command::run;
use crate::hooks::Hooked;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{json, sys, tests};

tests![
    "cve",
    cve_2017_16539_masks_of_spec,
    cve_2025_31133_null_device_is_a_link,
    cve_2025_31133_null_device_is_replaced_by_a_hook,
    cve_2025_31133_null_device_is_another_file,
];

/// CVE-2025-31133 (runc before 1.2.8), CVE-2025-62161 (youki before 0.5.7): the /dev/null of an image, which masks
/// are made of, could be a symlink to another file. Succeeds against runc 1.1.5 and crun 1.8.1.
fn cve_2025_31133_null_device_is_a_link(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_mount("/dev");
    bundle.file("/etc/secret", "secret")?;
    bundle.file("/etc/another", "another")?;
    symlink("/etc/another", bundle.host_path("dev/null"))?;
    bundle.set("linux.maskedPaths", json!(["/etc/secret"]));
    bundle.verbs(&["read", "/etc/secret"]);
    let output = rig.run(&bundle, &[])?;
    if output.code() == 0 {
        return output.report().is("read:/etc/secret", "");
    }
    rig.failure(&output, &["/dev/null"])
}

/// The same with a hook that replaces /dev/null. Succeeds against runc 1.1.5 and crun 1.8.1.
fn cve_2025_31133_null_device_is_replaced_by_a_hook(rig: &mut Rig) -> Outcome {
    let mut hooked = Hooked::new(rig)?;
    hooked.bundle.file("/etc/secret", "secret")?;
    hooked.bundle.file("/etc/another", "another")?;
    hooked.bundle.set("linux.maskedPaths", json!(["/etc/secret"]));
    let null = hooked.bundle.host_path("dev/null").display().to_string();
    let args = vec!["ln", "-sfn", "/etc/another", null.as_str()];
    hooked.bundle.set("hooks.createContainer[+]", json!({"path": "/bin/ln", "args": args}));
    hooked.bundle.verbs(&["read", "/etc/secret"]);
    let output = rig.run(&hooked.bundle, &[])?;
    if !rig.is(Runtime::Mote) && output.code() == 0 {
        return output.report().is("read:/etc/secret", "");
    }
    rig.failure(&output, &["linux.maskedPaths /etc/secret", "/dev/null is not the device 1:3"])
}

/// The same with a file, another device and a FIFO in its place. Succeeds against runc 1.1.5 and crun 1.8.1.
fn cve_2025_31133_null_device_is_another_file(rig: &mut Rig) -> Outcome {
    for kind in [libc::S_IFREG, libc::S_IFIFO, libc::S_IFCHR, libc::S_IFBLK] {
        let mut bundle = rig.bundle()?;
        for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(place);
        }
        bundle.file("/etc/secret", "secret")?;
        // The device 1:5 is /dev/zero.
        let minor = if kind == libc::S_IFCHR { 5 } else { 3 };
        sys::mknod(&bundle.host_path("dev/null"), kind | 0o666, 1, minor)?;
        bundle.set("linux.maskedPaths", json!(["/etc/secret"]));
        bundle.verbs(&["stat", "/etc/secret"]);
        let output = rig.run(&bundle, &[])?;
        match output.code() {
            0 => output.report().is("stat:/etc/secret", "c 666 0 0 1:3")?,
            _ => rig.failure(&output, &["/dev/null"])?,
        }
    }
    Ok(())
}

/// CVE-2017-16539, CVE-2018-10892 (docker): /proc/scsi, with which a container removes disks of the host, and /proc/acpi,
/// with which it changes hardware, were not masked. Masks are part of the configuration; the runtime's own is that of
/// `spec`. Fails without the two entries in `cli/spec/config.json`.
fn cve_2017_16539_masks_of_spec(rig: &mut Rig) -> Outcome {
    let bundle = rig.bundle()?;
    let mut command = rig.command(&["spec"]);
    command.current_dir(&bundle.dir);
    run(&mut command, "")?.success()?;
    let config = Json::parse(&fs::read_to_string(bundle.dir.join("config.json"))?)?;
    let masked: Vec<&str> = config.at("linux").at("maskedPaths").items().iter().map(Json::text).collect();
    for path in ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/scsi", "/proc/timer_list", "/sys/firmware"]
    {
        holds(&format!("{path} is masked"), masked.contains(&path))?;
    }
    Ok(())
}
