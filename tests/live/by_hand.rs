//! An ordinary user without an engine: what the configuration omits, where state is kept, and hosts that forbid user
//! namespaces.

use std::fs;
use std::io::Result;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, same};
use crate::command::{Output, run};
use crate::id_helper::{Programs, RANGES, prepared};
use crate::json;
use crate::nested::nested_after;
use crate::report::Report;
use crate::rig::Rig;
use crate::rootless::{USER, as_ordinary_user, give_to_user, user_namespace_bundle};
use crate::{sys, tests};

tests![
    "rootless",
    rootless_user_namespace_is_added,
    rootless_user_namespace_is_added_to_joined_namespaces,
    rootless_default_maps,
    rootless_default_maps_of_one_id,
    rootless_state_in_tmp,
    rootless_spec_of_root_runs,
    rootless_commands_of_the_page,
    rootless_namespaces_are_limited,
];

/// The bundle of root, given to the user.
fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    give_to_user(&bundle.dir)?;
    Ok(bundle)
}

fn map(inside: &Report, kind: &str) -> String {
    let text = inside.get(&format!("read:/proc/self/{kind}_map"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const MAPS: [&str; 4] = ["read", "/proc/self/uid_map", "read", "/proc/self/gid_map"];

/// It is part of the container for all commands, and reported once.
fn rootless_user_namespace_is_added(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let mut bundle = bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    let log = rig.dir.join("log");
    rig.globals = ["--log", &log.display().to_string(), "--log-level", "warning"].map(String::from).into();
    let _running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "id", "ns"])?.success()?.report();
    inside.is("uid", "0 0 0")?;
    let of_init = fs::read_link(format!("/proc/{}/ns/user", rig.pid()?))?;
    inside.is("ns:user", &of_init.display().to_string())?;
    let [file, tmpfs] = ["extra.json", "extra"].map(|name| rig.dir.join(name).display().to_string());
    fs::write(
        &file,
        format!("[{{\"destination\": \"/tmp\", \"type\": \"tmpfs\", \"source\": \"{tmpfs}\"}}]"),
    )?;
    rig.mote(&["mounts", "add", &rig.id, &file])?.success()?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "mounts"])?.success()?.report();
    contains("the mountinfo line", inside.get("mount:/tmp"), " - tmpfs ")?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    rig.delete()?;
    let text = fs::read_to_string(&log)?;
    same("mentions", text.matches("linux.namespaces: a user namespace is added").count(), 1)?;
    rig.globals.clear();
    rig.nothing_left()
}

/// A namespace that the user may not join is an error all the same.
fn rootless_user_namespace_is_added_to_joined_namespaces(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = bundle(rig)?;
    bundle.namespace("network", Some(Path::new("/proc/self/ns/net")));
    bundle.verbs(&["id"]);
    rig.rejected(&bundle, &["linux.namespaces", "/proc/self/ns/net", "operation not permitted"])
}

/// All ranges of the user follow its own ID.
fn rootless_default_maps(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let mut bundle = bundle(rig)?;
    bundle.set("process.user", json!({"uid": 65600i64, "gid": 5i64, "additionalGids": [9i64]}));
    let inside = rig.report(&mut bundle, &[&["id"][..], &MAPS, &["stat", "/dev/pts"]].concat())?;
    inside.is("uid", "65600 65600 65600")?;
    same("uid_map", map(&inside, "uid").as_str(), "0 12345 1 1 100000 65536 65537 400000 100")?;
    same("gid_map", map(&inside, "gid").as_str(), "0 12345 1 1 200000 65536")?;
    rig.nothing_left()
}

/// Without ranges, or without privileges for the programs that map them.
fn rootless_default_maps_of_one_id(rig: &mut Rig) -> Outcome {
    for (programs, ranges) in [
        (Programs::Setuid, (&[][..], &[][..])),
        (Programs::Setuid, (&[], RANGES.1)),
        (Programs::Nosuid, RANGES),
        (Programs::Missing, RANGES),
    ] {
        prepared(rig, programs, ranges)?;
        let mut bundle = bundle(rig)?;
        let inside = rig.report(&mut bundle, &MAPS)?;
        same("uid_map", map(&inside, "uid").as_str(), "0 12345 1")?;
        let gids = if programs == Programs::Setuid && !ranges.1.is_empty() {
            "0 12345 1 1 200000 65536"
        } else {
            "0 12345 1"
        };
        same("gid_map", map(&inside, "gid").as_str(), gids)?;
        rig.mounts = None;
    }
    Ok(())
}

/// Replaces /tmp by an empty directory for this process, except for the suite's own files.
fn new_tmp(dir: &Path) -> Result<()> {
    sys::unshare(libc::CLONE_NEWNS)?;
    let (suite, stage) = (dir.parent().unwrap_or(dir), dir.join("tmp"));
    if let Ok(own) = suite.strip_prefix("/tmp") {
        fs::create_dir_all(stage.join(own))?;
        sys::mount(&suite.display().to_string(), &stage.join(own), "", libc::MS_BIND, "")?;
    }
    sys::mount(&stage.display().to_string(), Path::new("/tmp"), "", libc::MS_BIND | libc::MS_REC, "")?;
    std::env::set_current_dir(dir)
}

fn by_default(rig: &Rig, words: &[&str]) -> Outcome<Output> {
    let mut command = std::process::Command::new(&rig.suite.runtime);
    command.args(words).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    run(&mut command, "")
}

/// Without XDG_RUNTIME_DIR and a session of the user. Another user may have created the directory before, to give it other
/// content.
fn rootless_state_in_tmp(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    if Path::new("/run/user/12345").exists() {
        return fail("/run/user/12345 exists");
    }
    rig.around = Some(new_tmp);
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    let (dir, place) = (bundle.dir.display().to_string(), rig.dir.join("tmp/mote-12345"));
    fs::create_dir(rig.dir.join("tmp"))?;
    fs::set_permissions(rig.dir.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    by_default(rig, &["create", "--bundle", &dir, &rig.id])?.success()?;
    holds("the state directory exists", place.join(&rig.id).is_dir())?;
    same("the mode of its parent", fs::metadata(&place)?.mode() & 0o7777, 0o700)?;
    by_default(rig, &["kill", &rig.id, "KILL"])?.success()?;
    by_default(rig, &["delete", "--force", &rig.id])?.success()?;
    fs::remove_dir(&place)?;
    let elsewhere = rig.dir.join("elsewhere");
    fs::create_dir(&elsewhere)?;
    sys::chown(&elsewhere, USER, USER)?;
    symlink(&elsewhere, &place)?;
    let create = ["create", "--bundle", &dir, &rig.id];
    by_default(rig, &create)?.failure(&["openat /tmp/mote-12345", "not a directory"])?;
    same("entries", fs::read_dir(&elsewhere)?.count(), 0)?;
    fs::remove_file(&place)?;
    fs::create_dir(&place)?;
    by_default(rig, &create)?.failure(&["/tmp/mote-12345: owned by user 0, not by user 12345"])?;
    rig.nothing_left()
}

/// `mote spec` without `--rootless`: `gid=5` of devpts cannot be mapped.
fn rootless_spec_of_root_runs(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, (&[], &[]))?;
    let mut bundle = bundle(rig)?;
    let dir = bundle.dir.display().to_string();
    rig.mote(&["spec", "--bundle", &dir])?.success()?;
    bundle.config = json::Json::parse(&fs::read_to_string(bundle.dir.join("config.json"))?)?;
    bundle.set("process.terminal", false);
    let inside = rig.report(&mut bundle, &["id", "stat", "/dev/pts/ptmx"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("stat:/dev/pts/ptmx", "c 666 0 0 5:2")?;
    rig.nothing_left()
}

/// The first block of commands of docs/rootless.md. There is no terminal here, and the program of the template is `sh`.
fn rootless_commands_of_the_page(rig: &mut Rig) -> Outcome {
    prepared(rig, Programs::Setuid, RANGES)?;
    let page = include_str!("../../docs/rootless.md");
    let block = page.lines().skip_while(|line| !line.starts_with("    "));
    let block: Vec<&str> = block.map_while(|line| line.strip_prefix("    ")).collect();
    let bundle = bundle(rig)?;
    fs::create_dir(bundle.dir.join("rootfs/bin"))?;
    let payload = &rig.suite.payload;
    fs::copy(payload, bundle.dir.join("rootfs/bin/payload"))?;
    fs::write(bundle.dir.join("rootfs/bin/id"), "#!/bin/payload say\n")?;
    fs::set_permissions(bundle.dir.join("rootfs/bin/id"), fs::Permissions::from_mode(0o755))?;
    give_to_user(&bundle.dir)?;
    let run_dir = rig.dir.join("run");
    fs::create_dir(&run_dir)?;
    sys::chown(&run_dir, USER, USER)?;
    let words = "s/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"payload\", \"wait\", \"1\"/";
    let mut output = String::new();
    for line in &block {
        let mut command = std::process::Command::new("sh");
        let then = if line.starts_with("mote spec") {
            format!(" && sed -i '{words}' config.json")
        } else {
            String::new()
        };
        command.args(["-c", &format!("cd {} && {line}{then}", bundle.dir.display())]);
        rig.prepare(&mut command);
        let path = format!("{}:/usr/bin:/bin", rig.suite.dir.display());
        command.env("PATH", path).env("XDG_RUNTIME_DIR", &run_dir).env("MOTE_LIVE", &rig.marker);
        let done = run(&mut command, "")?;
        same(line, (done.code(), done.stderr.as_str()), (0, ""))?;
        output += &done.stdout;
    }
    same("commands", block.len() > 6, true)?;
    contains("the output", &output, "say=/bin/id\n")?;
    contains("the output", &output, "running")?;
    rig.nothing_left()
}

/// The sysctls of an outer user namespace.
fn rootless_namespaces_are_limited(rig: &mut Rig) -> Outcome {
    for kind in ["user", "net", "ipc", "uts", "pid"] {
        let name = format!("user.max_{kind}_namespaces");
        let _holder = nested_after(rig, &format!("echo 0 > /proc/sys/user/max_{kind}_namespaces"))?;
        let mut bundle = user_namespace_bundle(rig)?;
        let map = json!([{"containerID": 0i64, "hostID": 0i64, "size": 1i64}]);
        bundle.set("linux.uidMappings", map.clone());
        bundle.set("linux.gidMappings", map);
        bundle.verbs(&["id"]);
        rig.rejected(&bundle, &[&format!("sysctl {name} is 0"), "no space left on device"])?;
        rig.user_namespace = None;
    }
    Ok(())
}
