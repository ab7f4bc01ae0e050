//! A /proc that an image has prepared. What the runtime writes to procfs must reach the kernel, and masked and
//! read-only paths below /proc must be masked and read-only.

use std::fs;
use std::os::unix::fs::symlink;

use crate::attack::only_mote;
use crate::bundle::Bundle;
use crate::check::{Outcome, different, same};
use crate::command::start;
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootfs::attack::{host_is_unchanged, victim};
use crate::tests;

tests![
    "cve",
    cve_2019_16884_proc_is_a_directory_of_an_image,
    cve_2019_16884_proc_is_a_tmpfs,
    cve_2019_16884_profile_with_another_proc_is_rejected,
    cve_2019_19921_proc_is_a_link_into_a_volume,
    cve_2023_28642_proc_is_a_link_into_the_image,
    cve_2025_52881_files_of_procfs_are_covered,
    cve_2025_52881_proc_is_covered_before_exec,
    cve_2025_54867_proc_is_a_link_to_the_host,
    cve_2025_54867_sys_is_a_link_to_the_host,
];

const FILES: &[&str] =
    &["sys/kernel/msgmax", "self/oom_score_adj", "self/attr/exec", "self/attr/apparmor/exec"];

/// CVE-2019-16884 (runc before 1.0.0-rc9): a volume mounted at /proc contains files with the names of those that
/// the runtime writes to, so that AppArmor and SELinux labels were not set. runc 1.1.5 and crun 1.8.1 reject the
/// mount; succeeds against mote if sysctls are written to /proc of the container.
fn cve_2019_16884_proc_is_a_directory_of_an_image(rig: &mut Rig) -> Outcome {
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

/// The same with an empty filesystem.
fn cve_2019_16884_proc_is_a_tmpfs(rig: &mut Rig) -> Outcome {
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

/// A profile or label that cannot be set must not be ignored silently.
fn cve_2019_16884_profile_with_another_proc_is_rejected(rig: &mut Rig) -> Outcome {
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

/// CVE-2019-19921 (runc before 1.0.0-rc10), CVE-2023-27561 (the same in 1.0.0-rc95 to 1.1.4): if /proc is a symlink
/// into a volume that two containers share, the other container could exchange its target between the mount and the
/// masks. Fixed in runc 1.1.5, and crun 1.8.1 masks what it mounted; succeeds against mote if `filesystem.rs`
/// mounts procfs through symlinks.
fn cve_2019_19921_proc_is_a_link_into_a_volume(rig: &mut Rig) -> Outcome {
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

/// CVE-2023-28642 (runc before 1.1.5): with /proc as a symlink within the image, masks and AppArmor rules, which
/// name paths, did not apply to the procfs. No such runc was at hand. mote would mask through the link if it mounted
/// procfs there, and rejects it nevertheless; the test fails if it does not.
fn cve_2023_28642_proc_is_a_link_into_the_image(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    fs::create_dir(bundle.host_path("elsewhere"))?;
    fs::remove_dir(bundle.host_path("proc"))?;
    symlink("elsewhere", bundle.host_path("proc"))?;
    protected(rig, &mut bundle)?;
    match rig.is(Runtime::Mote) {
        true => rig.rejected(&bundle, &["mounts[0] /proc"]),
        false => Ok(()),
    }
}

/// CVE-2025-52881 (runc before 1.2.8), CVE-2025-62596 (youki before 0.5.7): a mount over a file of procfs, which
/// another container made in a shared mount, redirected the write of a label or sysctl to a harmless file, or to
/// one such as /proc/sysrq-trigger. Here such mounts are part of the configuration. runc 1.1.5 and crun 1.8.1
/// reject them; succeeds against mote if sysctls are written to /proc of the container.
fn cve_2025_52881_files_of_procfs_are_covered(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let trap = rig.dir.join("trap");
    fs::write(&trap, "the image's")?;
    for file in ["sys/kernel/msgmax", "1/oom_score_adj", "1/attr/exec", "1/attr/current"] {
        bundle.bind(&trap, &format!("/proc/{file}"), &["bind"]);
    }
    written_to_the_kernel(rig, &mut bundle)?;
    same("the file", fs::read_to_string(&trap)?.as_str(), "the image's")
}

/// A process of the container has mounted its own filesystem at /proc, with a file for each PID, when another process
/// joins the container.
fn cve_2025_52881_proc_is_covered_before_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    crate::attack::allow(&mut bundle, "CAP_SYS_ADMIN");
    let mut verbs = vec!["mount".to_string(), "/proc".to_string()];
    for pid in 0..40 {
        let pid = if pid == 0 { "self".to_string() } else { pid.to_string() };
        for name in [String::new(), "/attr".into(), "/attr/apparmor".into()] {
            verbs.extend(["mkdir".to_string(), format!("/proc/{pid}{name}")]);
        }
        for name in ["oom_score_adj", "attr/exec", "attr/apparmor/exec"] {
            verbs.extend(["create".to_string(), format!("/proc/{pid}/{name}")]);
        }
    }
    verbs.extend(["wait".to_string(), "1".to_string()]);
    bundle.verbs(&verbs.iter().map(String::as_str).collect::<Vec<_>>());
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?.is("create:/proc/self/oom_score_adj", "ok")?;
    let process = json!({
        "args": ["/payload", "id", "wait", "1"], "cwd": "/", "user": {"uid": 0i64, "gid": 0i64},
        "env": [(format!("MOTE_LIVE={}", rig.marker))], "oomScoreAdj": 321i64
    });
    let file = rig.dir.join("process.json");
    fs::write(&file, process.to_string())?;
    let file = file.display().to_string();
    let mut joined = start(&mut rig.command(&["exec", "--process", &file, &rig.id]), false)?;
    // The runtime may refuse to use such a procfs.
    if let Ok(report) = joined.lines.until("waiting=1") {
        let inside = report.get("pid").to_string();
        let pids = crate::cleanup::processes("MOTE_LIVE", &rig.marker);
        let is_it = |pid: &&i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with(&format!("\t{inside}")))
                && status.contains("Name:\tpayload")
        };
        let pid = pids.iter().find(is_it).copied().unwrap_or(0);
        let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
        same("the score", score.trim(), "321")?;
    }
    let seen = rig.mote(&["exec", &rig.id, "/payload", "read", "/proc/self/oom_score_adj"])?;
    if rig.is(Runtime::Mote) || seen.code() == 0 {
        seen.report().is("read:/proc/self/oom_score_adj", "")?;
    }
    rig.delete()?;
    drop(joined.finish());
    drop(running.finish());
    Ok(())
}

/// CVE-2025-54867 (youki before 0.5.5): /proc and /sys of the image were symlinks to directories of the host, on which
/// procfs and sysfs were mounted. runc 1.1.5 and crun 1.8.1 do not mount them outside of the root, and no such youki
/// was at hand. mote would mount them at the link's target in the root, and rejects the link nevertheless; the test
/// fails if it does not.
fn is_not_mounted_through_a_link(rig: &Rig, name: &str) -> Outcome {
    let victim = victim(rig)?;
    let mut bundle = rig.bundle()?;
    fs::remove_dir(bundle.host_path(name))?;
    symlink(&victim, bundle.host_path(name))?;
    host_is_unchanged(rig, &mut bundle, &victim)?;
    match rig.is(Runtime::Mote) {
        true => rig.rejected(&bundle, &["mounts[", &format!("/{name}")]),
        false => Ok(()),
    }
}

fn cve_2025_54867_proc_is_a_link_to_the_host(rig: &mut Rig) -> Outcome {
    is_not_mounted_through_a_link(rig, "proc")
}

fn cve_2025_54867_sys_is_a_link_to_the_host(rig: &mut Rig) -> Outcome {
    is_not_mounted_through_a_link(rig, "sys")
}
