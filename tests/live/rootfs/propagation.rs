//! Mount propagation between the host and the container: mount options and `linux.rootfsPropagation`
//! (mount_namespaces(7)).

use std::fs;
use std::path::PathBuf;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, lacks, same};
use crate::namespaces::holder;
use crate::report::Report;
use crate::rig::Rig;
use crate::{json, sys, tests};

tests![
    "rootfs",
    option_private,
    option_slave,
    option_shared,
    option_unbindable,
    option_rprivate_includes_submounts,
    option_rslave_includes_submounts,
    option_rshared_includes_submounts,
    root_is_private_by_default,
    root_slave,
    root_shared,
    root_unbindable,
    root_with_another_value_is_rejected,
    slave_receives_from_the_host,
    private_receives_nothing,
    shared_sends_to_the_host,
    container_mounts_stay_inside,
    no_mount_is_in_a_peer_group_of_the_host,
    mounts_over_devices_of_the_host_stay_inside,
];

/// The mounts of a host with systemd are shared.
fn with_shared_mounts(_: &std::path::Path) -> std::io::Result<()> {
    sys::unshare(libc::CLONE_NEWNS)?;
    sys::mount("none", std::path::Path::new("/"), "", libc::MS_REC | libc::MS_SHARED, "")
}

/// Changes of a configuration.
type Changes<'c> = &'c [&'c dyn Fn(&mut Bundle)];

/// Each of these makes the runtime mount files of the host in the container.
fn no_mount_is_in_a_peer_group_of_the_host(rig: &mut Rig) -> Outcome {
    rig.around = Some(with_shared_mounts);
    let own = |_: &mut Bundle| {};
    let user = |bundle: &mut Bundle| bundle.user_namespace(100_000);
    let cgroups = |bundle: &mut Bundle| {
        bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}));
    };
    let network = |bundle: &mut Bundle| bundle.without_namespace("network");
    let changes: [(&str, Changes<'_>); 5] = [
        ("none", &[&own]),
        ("a user namespace", &[&user]),
        ("cgroups", &[&cgroups]),
        ("a user namespace and cgroups", &[&user, &cgroups]),
        ("a user namespace without a network", &[&user, &network]),
    ];
    for (name, changes) in changes {
        let mut bundle = rig.bundle()?;
        changes.iter().for_each(|change| change(&mut bundle));
        let inside = rig.report(&mut bundle, &["mounts"])?;
        for place in inside.keys("mount:") {
            let all = inside.all(&format!("mount:{place}"));
            let is_peer = |line: &str| line.contains(" shared:") || line.contains(" master:");
            let found: Vec<&str> = all.into_iter().filter(|line| is_peer(line)).collect();
            same(&format!("with {name}: {place}"), found, Vec::<&str>::new())?;
        }
    }
    Ok(())
}

/// With CAP_SYS_ADMIN in its user namespace, a process may mount a file over its devices. On the host nothing is mounted.
fn mounts_over_devices_of_the_host_stay_inside(rig: &mut Rig) -> Outcome {
    rig.around = Some(with_shared_mounts);
    let (host, _) = holder(rig, &["id"])?;
    rig.around = None;
    rig.mounts = Some(fs::File::open(format!("/proc/{}/ns/mnt", host.pid()))?);
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{set}[+]"), "CAP_SYS_ADMIN");
    }
    bundle.verbs(&["bind", "/payload", "/dev/null", "line"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("bind:/dev/null=ok")?;
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.pid()))?;
    for line in table.lines() {
        lacks("a mount of the host", line, "/payload ")?;
    }
    running.write("end\n")?;
    running.finish()?.success().map(drop)
}

/// A source that is a shared mount, with a shared mount at `sub`.
fn shared(rig: &Rig) -> Outcome<PathBuf> {
    let dir = source(rig)?;
    let path = dir.display().to_string();
    sys::mount(&path, &dir, "", libc::MS_BIND, "")?;
    fs::create_dir(dir.join("sub"))?;
    sys::mount("none", &dir.join("sub"), "tmpfs", 0, "")?;
    sys::mount("none", &dir, "", libc::MS_REC | libc::MS_SHARED, "")?;
    Ok(dir)
}

/// Mounts the shared source at `/data` with a propagation option; returns the report with the mounts.
fn with_word(rig: &Rig, word: &str) -> Outcome<Report> {
    let dir = shared(rig)?;
    let mut bundle = rig.bundle()?;
    if word.ends_with("slave") {
        // If the root is private, there is no peer group for a slave.
        bundle.set("linux.rootfsPropagation", "rslave");
    }
    bundle.bind(&dir, "/data", &["rbind", word]);
    let inside = rig.report(&mut bundle, &["mounts"]);
    sys::umount(&dir)?;
    inside
}

/// The optional fields of a mountinfo line: `shared:1`, `master:2`, `unbindable`.
fn fields<'a>(report: &'a Report, place: &str) -> Outcome<&'a str> {
    let line = report.get(&format!("mount:{place}"));
    let (fields, _) = line.split_once(" - ").ok_or(format!("no mount at {place}"))?;
    let start = fields.match_indices(' ').nth(5).map_or(fields.len(), |(index, _)| index + 1);
    Ok(fields.get(start..).unwrap_or(""))
}

fn has(report: &Report, place: &str, field: &str) -> Outcome {
    contains(&format!("the fields of {place}"), fields(report, place)?, field)
}

fn has_not(report: &Report, place: &str, field: &str) -> Outcome {
    lacks(&format!("the fields of {place}"), fields(report, place)?, field)
}

fn option_private(rig: &mut Rig) -> Outcome {
    same("fields", fields(&with_word(rig, "private")?, "/data")?, "")
}

fn option_slave(rig: &mut Rig) -> Outcome {
    let inside = with_word(rig, "slave")?;
    has(&inside, "/data", "master:")?;
    has_not(&inside, "/data", "shared:")
}

fn option_shared(rig: &mut Rig) -> Outcome {
    has(&with_word(rig, "shared")?, "/data", "shared:")
}

fn option_unbindable(rig: &mut Rig) -> Outcome {
    has(&with_word(rig, "unbindable")?, "/data", "unbindable")
}

fn option_rprivate_includes_submounts(rig: &mut Rig) -> Outcome {
    let inside = with_word(rig, "rprivate")?;
    same("fields", fields(&inside, "/data")?, "")?;
    same("fields below", fields(&inside, "/data/sub")?, "")
}

fn option_rslave_includes_submounts(rig: &mut Rig) -> Outcome {
    let inside = with_word(rig, "rslave")?;
    has(&inside, "/data/sub", "master:")?;
    has_not(&inside, "/data/sub", "shared:")
}

fn option_rshared_includes_submounts(rig: &mut Rig) -> Outcome {
    has(&with_word(rig, "rshared")?, "/data/sub", "shared:")
}

/// The optional fields of the container's root, which is on a shared mount of the host.
fn root_with(rig: &Rig, word: Option<&str>) -> Outcome<String> {
    let mut bundle = rig.bundle()?;
    let path = bundle.dir.display().to_string();
    sys::mount(&path, &bundle.dir, "", libc::MS_BIND, "")?;
    sys::mount("none", &bundle.dir, "", libc::MS_SHARED, "")?;
    if let Some(word) = word {
        bundle.set("linux.rootfsPropagation", word);
    }
    let inside = rig.report(&mut bundle, &["mounts"]);
    sys::umount(&bundle.dir)?;
    Ok(fields(&inside?, "/")?.to_string())
}

fn root_is_private_by_default(rig: &mut Rig) -> Outcome {
    lacks("the root's fields", &root_with(rig, None)?, "shared:")?;
    same("the root's fields", root_with(rig, Some("private"))?.as_str(), "")
}

fn root_slave(rig: &mut Rig) -> Outcome {
    lacks("the root's fields", &root_with(rig, Some("slave"))?, "shared:")
}

fn root_shared(rig: &mut Rig) -> Outcome {
    contains("the root's fields", &root_with(rig, Some("shared"))?, "shared:")
}

fn root_unbindable(rig: &mut Rig) -> Outcome {
    contains("the root's fields", &root_with(rig, Some("unbindable"))?, "unbindable")
}

fn root_with_another_value_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("linux.rootfsPropagation", "sideways");
    rig.rejected(&bundle, &["linux.rootfsPropagation", "sideways"])
}

/// Makes a mount on the host while the container runs; returns what the container then lists there.
fn made_later(rig: &Rig, word: &str) -> Outcome<String> {
    let dir = shared(rig)?;
    let late = dir.join("late");
    fs::create_dir(&late)?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.rootfsPropagation", "rslave");
    bundle.bind(&dir, "/data", &["rbind", word]);
    bundle.verbs(&["say", "ready", "line", "list", "/data/late"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("say=ready")?;
    sys::mount("none", &late, "tmpfs", 0, "")?;
    fs::write(late.join("news"), "")?;
    running.write("go\n")?;
    let report = running.finish()?.success()?.report();
    sys::umount(&dir)?;
    Ok(report.get("list:/data/late").to_string())
}

fn slave_receives_from_the_host(rig: &mut Rig) -> Outcome {
    same("seen inside", made_later(rig, "rslave")?.as_str(), "news")
}

fn private_receives_nothing(rig: &mut Rig) -> Outcome {
    same("seen inside", made_later(rig, "rprivate")?.as_str(), "")
}

/// As engines set it up, with the root shared, too: a mount by the container appears on the host.
fn shared_sends_to_the_host(rig: &mut Rig) -> Outcome {
    let dir = shared(rig)?;
    fs::create_dir(dir.join("late"))?;
    let mut bundle = rig.bundle()?;
    bundle.set("linux.rootfsPropagation", "shared");
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(&format!("process.capabilities.{set}[+]"), "CAP_SYS_ADMIN");
    }
    bundle.bind(&dir, "/data", &["rbind", "rshared"]);
    bundle.verbs(&["mount", "/data/late", "create", "/data/late/news", "say", "ready", "line"]);
    let mut running = rig.spawn(&bundle, &[])?;
    let seen_inside = running.lines.until("say=ready");
    let seen = dir.join("late/news").exists();
    running.write("go\n")?;
    running.finish()?.success()?;
    sys::umount(&dir)?;
    seen_inside?.is("mount:/data/late", "ok")?;
    same("seen on the host", seen, true)
}

/// Mounts by the runtime and by the container do not appear on a host whose root is shared.
fn container_mounts_stay_inside(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let path = bundle.dir.display().to_string();
    sys::mount(&path, &bundle.dir, "", libc::MS_BIND, "")?;
    sys::mount("none", &bundle.dir, "", libc::MS_SHARED, "")?;
    bundle.verbs(&["say", "ready", "line"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("say=ready")?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let mine = table.lines().filter(|line| line.contains(&path)).count();
    running.write("go\n")?;
    running.finish()?.success()?;
    sys::umount(&bundle.dir)?;
    same("mounts at the bundle", mine, 1)
}
