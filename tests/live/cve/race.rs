//! A container that changes a volume while another one with the same volume is started, and a process that changes the
//! image of a container while it is started.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Exchange;
use crate::attack::{second, until};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, lacks, same};
use crate::json;
use crate::rig::Rig;
use crate::rootfs::attack::{untouched, victim};
use crate::terminal::attack::with_devpts;
use crate::terminal::screen::Screen;
use crate::tests;

tests![
    "cve",
    cve_2021_30465_volume_is_exchanged,
    cve_2024_45310_directory_is_exchanged,
    cve_2025_31133_null_device_is_exchanged,
    cve_2025_52565_console_is_exchanged,
    cve_2026_133553_tmpcopyup_is_exchanged,
    ghsa_3q8j_pf29_vwv8_restricted_path_is_exchanged,
];

/// The number of containers that are started while files are exchanged.
const STARTS: usize = 300;

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

/// CVE-2021-30465 (runc before 1.0.0-rc95): a directory was checked, and was a symlink to the host when something
/// was mounted on it or created in it. A container exchanges them in a volume while others with the same volume are
/// started. Fixed long before runc 1.1.5; succeeds against mote without RESOLVE_IN_ROOT.
fn cve_2021_30465_volume_is_exchanged(rig: &mut Rig) -> Outcome {
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

/// CVE-2025-31133 (runc before 1.2.8), CVE-2025-62161 (youki before 0.5.7), as a race: a masked file is covered by
/// the null device and nothing else, and no file of the host is covered. `mask.rs` has the attacks without a race,
/// which succeed against runc 1.1.5 and crun 1.8.1.
fn cve_2025_31133_null_device_is_exchanged(rig: &mut Rig) -> Outcome {
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
        for _ in 0..STARTS {
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

/// CVE-2024-45310 (runc before 1.1.14): the parent directories of a mount point were created by path, so that empty
/// files and directories appeared on the host. Succeeds against runc 1.1.5, and against mote without
/// RESOLVE_IN_ROOT.
fn cve_2024_45310_directory_is_exchanged(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let file = rig.dir.join("file");
    fs::write(&file, "")?;
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("way"))?;
    symlink(&victim, bundle.host_path("link"))?;
    bundle.verbs(&["say", "ran"]);
    let mounts = bundle.config.at("mounts").clone();
    let exchanging = Exchange::start(vec![(bundle.host_path("way"), bundle.host_path("link"))])?;
    for start in 0..STARTS {
        // New names each time: those that exist in the image's own directory need not be created.
        bundle.set("mounts", mounts.clone());
        bundle.bind(&file, &format!("/way/file{start}"), &["bind"]);
        bundle
            .mount(json!({"destination": (format!("/way/{start}/new")), "type": "tmpfs", "source": "tmpfs"}));
        let output = rig.run(&bundle, &[])?;
        untouched(&victim)?;
        if output.code() != 0 {
            rig.failure(&output, &[])?;
        }
    }
    exchanging.is_fast()
}

/// CVE-2025-52565 (runc before 1.2.8), as a race: the terminal was mounted from the path /dev/pts/N over the path
/// /dev/console, each of which could become a symlink before. Succeeds against runc 1.1.5 and crun 1.8.1: the
/// terminal receives what is written to the file of procfs.
fn cve_2025_52565_console_is_exchanged(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = with_devpts(rig)?;
    bundle.verbs(&["tty", "mounts"]);
    let root = bundle.host_path("");
    let own = |name: &str| root.join(name);
    bundle.file("/dev/console", "")?;
    symlink("/proc/sys/kernel/core_pattern", own("dev/other"))?;
    fs::create_dir(own("dev/trap"))?;
    for number in 0..3 {
        symlink("/proc/sys/kernel/core_pattern", own(&format!("dev/trap/{number}")))?;
    }
    let exchanging =
        Exchange::start(vec![(own("dev/console"), own("dev/other")), (own("dev/pts"), own("dev/trap"))])?;
    let mut with_console = 0;
    for _ in 0..STARTS {
        let mut screen = Screen::new()?;
        let running = screen.start(&mut rig.launch("run", &bundle, &[])?)?;
        let output = screen.finish(running)?;
        untouched(&victim)?;
        if output.code() != 0 {
            rig.failure(&output, &["/dev/"])?;
            continue;
        }
        let inside = output.report();
        for line in inside.all("mount:/dev/console") {
            contains("the mount at the console", line, " - devpts ")?;
            with_console += 1;
        }
        same("mounts in procfs", inside.all("mount:/proc/sys/kernel/core_pattern"), Vec::<&str>::new())?;
    }
    holds(&format!("{with_console} containers have a console"), with_console > 0)?;
    exchanging.is_fast()
}

/// CVE-2026-133553 (crun): `tmpcopyup` copies a directory of the image to a tmpfs, and a directory or file that is
/// replaced by a symlink meanwhile was copied from the host. Succeeds against runc 1.1.5, which has the same error,
/// and against mote without O_NOFOLLOW in `copyup.rs`.
fn cve_2026_133553_tmpcopyup_is_exchanged(rig: &mut Rig) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    let root = bundle.host_path("");
    let own = |name: &str| root.join(name);
    let host = victim.join("secret");
    // The directory itself, a directory in it, and a file in it.
    for (number, (name, target)) in
        [("one", &victim), ("two/deep", &victim), ("three/secret", &host)].into_iter().enumerate()
    {
        let file = if number == 2 { name.to_string() } else { format!("{name}/secret") };
        bundle.file(&file, "the image's")?;
        symlink(target, own(&format!("link{number}")))?;
    }
    for place in ["/one", "/two", "/three"] {
        let options = json!(["tmpcopyup"]);
        bundle.mount(json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}));
    }
    bundle.verbs(&["read", "/one/secret", "read", "/two/deep/secret", "read", "/three/secret"]);
    let pairs = [("one", "link0"), ("two/deep", "link1"), ("three/secret", "link2")];
    let exchanging = Exchange::start(pairs.map(|(name, link)| (own(name), own(link))).to_vec())?;
    let mut copied = 0;
    for _ in 0..STARTS {
        let output = rig.run(&bundle, &[])?;
        untouched(&victim)?;
        lacks("the output", &output.stdout, "the host's")?;
        match output.code() {
            0 => copied += u32::from(output.stdout.contains("=the image's")),
            _ => rig.failure(&output, &["mounts["])?,
        }
    }
    holds(&format!("{copied} of {STARTS} containers have a file of the image"), copied > 0)?;
    exchanging.is_fast()
}

/// GHSA-3q8j-pf29-vwv8 (youki): paths of `readonlyPaths` and `maskedPaths` were looked up again for each mount call, so
/// that a mount covered another directory than the one it shows, and the path remained writable or visible. Names are
/// not exchanged any more when the mounts are listed. No youki was at hand; succeeds against mote if `mask.rs` looks up
/// a path twice.
fn ghsa_3q8j_pf29_vwv8_restricted_path_is_exchanged(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let root = bundle.host_path("");
    for name in ["kept", "hidden"] {
        bundle.file(&format!("/{name}/file"), "the image's")?;
        bundle.file(&format!("/other-{name}/file"), "the image's")?;
    }
    bundle.set("linux.readonlyPaths", json!(["/kept"]));
    bundle.set("linux.maskedPaths", json!(["/hidden"]));
    bundle.verbs(&["say", "ready", "line", "mounts"]);
    for _ in 0..STARTS {
        let pairs = ["kept", "hidden"].map(|name| (root.join(name), root.join(format!("other-{name}"))));
        let exchanging = Exchange::start(pairs.to_vec())?;
        let mut running = rig.spawn(&bundle, &[])?;
        let first = running.lines.next()?;
        drop(exchanging);
        if first != "say=ready" {
            rig.failure(&running.finish()?, &[])?;
            continue;
        }
        running.write("go\n")?;
        let inside = running.finish()?.success()?.report();
        let mounts = |name: &str| {
            let both = [format!("/{name}"), format!("/other-{name}")];
            both.map(|place| (inside.all(&format!("mount:{place}")).concat(), place))
        };
        let [kept, other] = mounts("kept");
        same("number of read-only directories", kept.0.is_empty(), !other.0.is_empty())?;
        for (line, place) in [kept, other].iter().filter(|(line, _)| !line.is_empty()) {
            contains("the read-only mount", line, &format!("/rootfs{place} {place} ro,"))?;
        }
        let [hidden, other] = mounts("hidden");
        same("number of masked directories", hidden.0.is_empty(), !other.0.is_empty())?;
    }
    Ok(())
}
