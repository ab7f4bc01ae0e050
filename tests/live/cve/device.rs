//! Images with symlinks in place of /dev or of files below it, where the configuration has no mount at /dev: no device,
//! link or terminal is created or mounted outside of the root.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::attack::only_mote;
use crate::check::{Outcome, contains, holds, lacks, same};
use crate::command::start;
use crate::json;
use crate::rig::Rig;
use crate::rootfs::attack::{host_is_unchanged, replaced, untouched, victim};
use crate::terminal::attack::{harmless, with_devices_of_the_image, with_devpts};
use crate::terminal::screen::Screen;
use crate::{sys, tests};

tests![
    "cve",
    cve_2025_52565_console_is_a_link_to_the_host,
    cve_2025_52565_console_is_a_link_into_the_image,
    cve_2025_52565_console_is_a_link_to_procfs,
    cve_2026_41579_dev_is_a_link_below_a_mount,
    cve_2026_41579_dev_is_a_link,
    cve_2026_41579_links_in_dev,
    cve_2026_88264_console_without_a_mount_at_dev,
    cve_2026_88265_null_device_of_the_standard_files,
];

/// CVE-2026-41579 (runc before 1.3.6): with a mount at /dev, the symlink is its destination. Succeeds against runc
/// 1.1.5.
fn cve_2026_41579_dev_is_a_link_below_a_mount(rig: &mut Rig) -> Outcome {
    replaced(rig, "dev")
}

/// Symlinks in place of the default devices and links, in a directory of the image.
fn cve_2026_41579_links_in_dev(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_mount("/dev");
    for name in ["fd", "stdin", "ptmx", "null", "zero", "tty", "console"] {
        symlink(victim.join("new"), bundle.host_path("dev").join(name))?;
    }
    for name in ["full", "random"] {
        symlink(victim.join("secret"), bundle.host_path("dev").join(name))?;
    }
    host_is_unchanged(rig, &mut bundle, &victim)
}

/// CVE-2025-52565 (runc before 1.2.8): the terminal is mounted over /dev/console, which may be a symlink of the image.
/// The two tests below succeed against runc 1.1.5. This one has files of the host as targets: mote mounts the terminal
/// before pivot_root(2).
fn cve_2025_52565_console_is_a_link_to_the_host(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let victim = victim(rig)?;
    let socket = rig.dir.join("console.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket)?;
    for target in [victim.join("secret"), victim.join("new"), "/proc/sys/kernel/hostname".into()] {
        let mut bundle = rig.bundle()?;
        for mount in ["/dev", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(mount);
        }
        symlink(&target, bundle.host_path("dev/console"))?;
        bundle.set("process.terminal", true);
        bundle.verbs(&["wait", "1"]);
        let path = socket.display().to_string();
        let mut creating = start(&mut rig.launch("create", &bundle, &["--console-socket", &path])?, false)?;
        let (status, errors) = creating.status()?;
        untouched(&victim)?;
        if !status.success() {
            same("lines on the standard error", errors.lines().count(), 1)?;
            continue;
        }
        holds("the terminal is sent", sys::readable(&listener, Duration::ZERO)?)?;
        drop(listener.accept()?);
        // The terminal is at the target of the link inside the image, and nothing of /proc is at /dev/console.
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", rig.pid()?))?;
        let console = table.lines().filter(|line| line.split(' ').nth(4) == Some("/dev/console"));
        lacks("what is at /dev/console", &console.collect::<String>(), " - proc ")?;
        rig.delete()?;
        untouched(&victim)?;
    }
    Ok(())
}

/// A symlink to a file of the image, which runc 1.1.5 empties and covers.
fn cve_2025_52565_console_is_a_link_into_the_image(rig: &mut Rig) -> Outcome {
    let outside = rig.dir.join("outside");
    fs::write(&outside, "as it was")?;
    let targets =
        ["/etc/victim".to_string(), outside.display().to_string(), "../../../../etc/none".to_string()];
    for target in targets {
        let bundle = with_devpts(rig)?;
        symlink(target, bundle.host_path("dev/console"))?;
        harmless(rig, &bundle)?;
    }
    same("the host's file", fs::read_to_string(&outside)?.as_str(), "as it was")
}

/// A terminal mounted over a file of procfs would receive what is written to that file: labels, profiles, sysctls.
/// Succeeds against runc 1.1.5 and crun 1.8.1.
fn cve_2025_52565_console_is_a_link_to_procfs(rig: &mut Rig) -> Outcome {
    for target in ["/proc/sys/kernel/core_pattern", "/proc/self/attr/exec", "/proc/sysrq-trigger"] {
        let bundle = with_devpts(rig)?;
        symlink(target, bundle.host_path("dev/console"))?;
        harmless(rig, &bundle)?;
    }
    Ok(())
}

/// A directory of the host with the names that a runtime creates in /dev, and one that it removes.
fn devices_of_the_host(rig: &Rig) -> Outcome<std::path::PathBuf> {
    let host = rig.dir.join("devices");
    fs::create_dir(&host)?;
    fs::write(host.join("ptmx"), "the host's")?;
    fs::create_dir(host.join("pts"))?;
    Ok(host)
}

fn devices_are_unchanged(host: &Path) -> Outcome {
    let mut names = Vec::new();
    for entry in fs::read_dir(host)? {
        names.push(entry?.file_name().display().to_string());
    }
    names.sort();
    same("the host's directory", names, vec!["ptmx", "pts"])?;
    same("the host's file", fs::read_to_string(host.join("ptmx"))?.as_str(), "the host's")
}

/// CVE-2026-41579 (runc), CVE-2026-47766 (crun): /dev of the image is a symlink to a directory of the host, and the
/// configuration mounts nothing there. `ptmx` was removed in that directory, and devices and links were created.
/// Succeeds against runc 1.1.5 and crun 1.8.1.
fn cve_2026_41579_dev_is_a_link(rig: &mut Rig) -> Outcome {
    let host = devices_of_the_host(rig)?;
    for relative in [false, true] {
        let mut bundle = rig.bundle()?;
        let target = match relative {
            false => host.clone(),
            true => Path::new("../../devices").to_path_buf(),
        };
        for place in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(place);
        }
        fs::remove_dir(bundle.host_path("dev"))?;
        symlink(target, bundle.host_path("dev"))?;
        bundle.set("linux.maskedPaths", json!([]));
        bundle.verbs(&["say", "ran"]);
        let output = rig.run(&bundle, &[])?;
        devices_are_unchanged(&host)?;
        if output.code() != 0 {
            rig.failure(&output, &["/dev"])?;
        }
    }
    Ok(())
}

/// CVE-2026-88264 (crun before 1.30): without a mount at /dev, a missing /dev/console was created through a symlink
/// of the image, also where the root is read-only, so that root created a file on the host. Succeeds against crun
/// 1.8.1.
fn cve_2026_88264_console_without_a_mount_at_dev(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    for (target, readonly) in
        [("new", false), ("new", true), ("secret", false), ("secret", true), ("dir/new", false)]
    {
        let mut bundle = with_devpts(rig)?;
        symlink(victim.join(target), bundle.host_path("dev/console"))?;
        bundle.set("root.readonly", readonly);
        let mut screen = Screen::new()?;
        let running = screen.start(&mut rig.launch("run", &bundle, &[])?)?;
        let output = screen.finish(running)?;
        untouched(&victim)?;
        if output.code() != 0 {
            rig.failure(&output, &["/dev/console"])?;
            continue;
        }
        let inside = output.report();
        for line in inside.all("mount:/dev/console") {
            contains("the mount at the console", line, " - devpts ")?;
        }
    }
    Ok(())
}

/// CVE-2026-88265 (crun before 1.30): the standard files of a container that are the null device were opened again
/// by the path /dev/null in the container, and given to its user. With a symlink there, that was a file of the
/// host, or of the image below masks. Succeeds against runc 1.1.5, whose container gets the file of the image; crun
/// 1.8.1 changes the owner of the null device of its caller.
fn cve_2026_88265_null_device_of_the_standard_files(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    // Not that of the host: crun 1.8.1 changes its owner.
    let null = rig.dir.join("null");
    sys::mknod(&null, libc::S_IFCHR | 0o666, 1, 3)?;
    let host = victim.join("secret");
    for place in
        [None, Some(host.as_path()), Some(Path::new("/etc/victim")), Some(Path::new("/proc/1/environ"))]
    {
        let mut bundle = with_devices_of_the_image(rig)?;
        bundle.remove("process.terminal");
        place.map_or(Ok(()), |place| symlink(place, bundle.host_path("dev/null")))?;
        bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
        bundle.set("linux.maskedPaths", json!([]));
        bundle.file("/report", "")?;
        fs::set_permissions(bundle.host_path("report"), std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        bundle.verbs(&["into", "/report", "link", "/proc/self/fd/0", "link", "/proc/self/fd/2"]);
        let mut command = rig.launch("run", &bundle, &[])?;
        let open = || fs::File::options().read(true).write(true).open(&null);
        command.stdin(open()?).stdout(open()?).stderr(open()?);
        let status = command.status()?;
        holds("a container without a link runs", status.success() || place.is_some())?;
        untouched(&victim)?;
        for file in [&host, &bundle.host_path("etc/victim"), &null] {
            same(&format!("the owner of {}", file.display()), fs::metadata(file)?.uid(), 0)?;
        }
        if status.success() {
            let seen = fs::read_to_string(bundle.host_path("report"))?;
            contains("the report", &seen, "link:/proc/self/fd/2=")?;
            let place = place.map_or("(no link)".into(), |place| place.display().to_string());
            lacks("the standard files", &seen, &place)?;
        }
    }
    Ok(())
}
