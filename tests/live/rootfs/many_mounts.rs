//! Configurations with hundreds of mounts.

use std::fs;
use std::process::Command;

use super::{is_not_on_initramfs, source};
use crate::bundle::Bundle;
use crate::check::{Outcome, same, skip_allowed};
use crate::command::run;
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, give_to_user};
use crate::sys::{before_exec, limit};
use crate::{rootless, tests};

tests![
    "rootfs",
    many_at_one_destination,
    many_at_one_destination_are_looked_up_once,
    many_with_few_descriptors,
    many_with_few_descriptors_in_a_user_namespace,
    many_with_few_descriptors_and_hooks,
    many_with_few_descriptors_of_an_ordinary_user,
    many_with_few_descriptors_idmapped,
    many_with_few_descriptors_and_create,
    many_with_few_descriptors_by_mounts_add,
    many_with_a_missing_source,
];

/// All mounts are made, and the last one is visible.
fn many_at_one_destination(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    for number in 0..30 {
        // On a directory and through a symlink, bind and tmpfs mounts, and others below.
        let place = if number < 15 { "/place" } else { "/way/place" };
        match number % 3 {
            0 => bundle.bind(&source, place, &["bind"]),
            1 => bundle.mount(json!({"destination": place, "type": "tmpfs", "options": ["mode=751"]})),
            _ => bundle.mount(json!({"destination": (format!("{place}/below")), "type": "tmpfs"})),
        }
    }
    std::os::unix::fs::symlink(".", bundle.host_path("way"))?;
    bundle.bind(&source, "/place", &["bind", "ro"]);
    bundle.mount(json!({"destination": "/place", "type": "tmpfs", "options": ["remount", "bind", "rw"]}));
    bundle.bind(&source.join("file"), "/place/file", &["bind"]);
    bundle.bind(&source.join("file"), "/place/file", &["bind", "ro"]);
    let verbs = ["mounts", "read", "/place/file", "write", "/place/file", "create", "/place/new"];
    let inside = rig.report(&mut bundle, &verbs)?;
    inside.is("read:/place/file", "from the host")?;
    inside.is("write:/place/file", "!EROFS")?;
    inside.is("create:/place/new", "ok")?;
    same("mounts at the destination", inside.all("mount:/place").len(), 21)?;
    same("mounts on the file", inside.all("mount:/place/file").len(), 2)
}

/// The number of paths that the runtime looks up in the rootfs, for this many mounts.
fn lookups(rig: &Rig, number: usize, mount: impl Fn(&mut Bundle)) -> Outcome<usize> {
    let mut bundle = rig.bundle()?;
    (0..number).for_each(|_| mount(&mut bundle));
    bundle.verbs(&[]);
    let launched = rig.launch("run", &bundle, &[])?;
    let log = rig.dir.join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=openat2", "-o"]).arg(&log);
    command.arg(launched.get_program()).args(launched.get_args()).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    run(&mut command, "")?.success()?;
    Ok(fs::read_to_string(log)?.lines().filter(|line| line.contains("openat2(")).count())
}

/// A lookup follows all mounts at the destination, which would be quadratic.
fn many_at_one_destination_are_looked_up_once(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) || Command::new("strace").arg("-V").output().is_err() {
        return skip_allowed("only for mote, and with strace");
    }
    let source = source(rig)?;
    let tmpfs = |bundle: &mut Bundle| {
        bundle.mount(json!({"destination": "/place", "type": "tmpfs", "source": "tmpfs"}));
    };
    same("of a tmpfs", lookups(rig, 60, tmpfs)?, lookups(rig, 10, tmpfs)?)?;
    // One lookup for each source.
    let bind = |bundle: &mut Bundle| bundle.bind(&source, "/place", &["bind"]);
    same("of a directory", lookups(rig, 60, bind)?, lookups(rig, 10, bind)? + 50)
}

/// The hard limit of open files of the runtime.
const FEW: u64 = 256;

/// A bundle with hundreds of each setting that needs a file descriptor.
fn large_bundle(rig: &Rig, mut bundle: Bundle, options: &[&str]) -> Outcome<Bundle> {
    let source = source(rig)?;
    for number in 0..300 {
        bundle.bind(&source, &format!("/bind/{number}"), options);
    }
    for number in 0..100 {
        let options = json!(["ro", "size=16k"]);
        bundle
            .mount(json!({"destination": (format!("/tmpfs/{number}")), "type": "tmpfs", "options": options}));
    }
    for number in 0..100 {
        let path = format!("/dev/null{number}");
        bundle.set("linux.devices[+]", json!({"path": path, "type": "c", "major": 1i64, "minor": 3i64}));
        bundle.file(&format!("/masked/{number}"), "secret")?;
        bundle.set("linux.maskedPaths[+]", format!("/masked/{number}"));
        bundle.set("linux.readonlyPaths[+]", format!("/bind/{number}"));
    }
    let dirs = (0..300).map(|number| format!("bind/{number}")).chain((0..100).map(|n| format!("tmpfs/{n}")));
    for dir in dirs {
        fs::create_dir_all(bundle.host_path(&dir))?;
    }
    Ok(bundle)
}

/// Runs the bundle with few file descriptors, and checks the last one of each setting.
fn all_mounted(rig: &Rig, mut bundle: Bundle, words: &[&str]) -> Outcome {
    let look = "mounts read /bind/0/file read /bind/299/file create /tmpfs/99/new read /masked/99 \
        write /dev/null99 create /bind/99/new";
    bundle.verbs(&look.split_whitespace().collect::<Vec<_>>());
    let mut command = rig.launch("run", &bundle, words)?;
    before_exec(&mut command, || limit::descriptors(FEW));
    let inside = run(&mut command, "")?.success()?.report();
    inside.is("read:/bind/0/file", "from the host")?;
    inside.is("read:/bind/299/file", "from the host")?;
    inside.is("create:/tmpfs/99/new", "!EROFS")?;
    inside.is("read:/masked/99", "")?;
    inside.is("write:/dev/null99", "ok")?;
    inside.is("create:/bind/99/new", "!EROFS")?;
    // A hundred of them have a second mount, which is read-only.
    same("mounts", inside.keys("mount:/bind/").len(), 400)?;
    same("tmpfs", inside.keys("mount:/tmpfs/").len(), 100)
}

fn many_with_few_descriptors(rig: &mut Rig) -> Outcome {
    all_mounted(rig, large_bundle(rig, rig.bundle()?, &["rbind"])?, &[])
}

fn many_with_few_descriptors_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = large_bundle(rig, rig.bundle()?, &["rbind"])?;
    bundle.user_namespace(100_000);
    all_mounted(rig, bundle, &[])
}

fn many_with_few_descriptors_and_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = large_bundle(rig, rig.bundle()?, &["rbind"])?;
    let payload = rig.suite.payload.display().to_string();
    for point in ["createRuntime", "createContainer", "startContainer"] {
        let path = if point == "startContainer" { "/payload" } else { payload.as_str() };
        bundle.set(&format!("hooks.{point}"), json!([{"path": path, "args": ["payload", "stdin"]}]));
    }
    all_mounted(rig, bundle, &[])
}

/// The sources are opened by the container's process.
fn many_with_few_descriptors_of_an_ordinary_user(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = large_bundle(rig, rootless::user_namespace_bundle(rig)?, &["rbind"])?;
    // The host has no hundred devices that every user may open.
    bundle.remove("linux.devices");
    bundle.file("/dev/null99", "")?;
    bundle.bind("/dev/null".as_ref(), "/dev/null99", &["bind"]);
    give_to_user(&bundle.dir)?;
    all_mounted(rig, bundle, &[])
}

fn many_with_few_descriptors_idmapped(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("this runc ignores the options");
    }
    rig.needs_mount_setattr()?;
    is_not_on_initramfs(rig)?;
    let mut bundle = large_bundle(rig, rig.bundle()?, &["bind", "idmap=uids=0-7-10;gids=0-7-10"])?;
    bundle.remove("linux.readonlyPaths");
    bundle.set("linux.readonlyPaths", json!(["/bind/99"]));
    bundle.bind(&source(rig)?, "/last", &["bind", "idmap=uids=0-9-10;gids=0-9-10"]);
    bundle.verbs(&["stat", "/bind/299/file", "stat", "/last/file"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    before_exec(&mut command, || limit::descriptors(FEW));
    let inside = run(&mut command, "")?.success()?.report();
    inside.is("stat:/bind/299/file", "f 644 7 7 0:0")?;
    inside.is("stat:/last/file", "f 644 9 9 0:0")
}

fn many_with_few_descriptors_and_create(rig: &mut Rig) -> Outcome {
    let mut bundle = large_bundle(rig, rig.bundle()?, &["rbind"])?;
    bundle.verbs(&["read", "/bind/299/file"]);
    let mut command = rig.launch("create", &bundle, &[])?;
    before_exec(&mut command, || limit::descriptors(FEW));
    let mut running = crate::command::start(&mut command, false)?;
    let (status, errors) = running.status()?;
    same("create", (status.code(), errors.as_str()), (Some(0), ""))?;
    rig.mote(&["start", &rig.id])?.success()?;
    crate::report::Report::parse(&running.lines.all()?).is("read:/bind/299/file", "from the host")?;
    rig.delete()
}

fn many_with_few_descriptors_by_mounts_add(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc has no such command, and crun's is experimental");
    }
    rig.needs_mount_setattr()?;
    let source = source(rig)?.display().to_string();
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let mut list = json!([]);
    for number in 0..300 {
        let (place, options) = (format!("/added/{number}"), json!(["bind"]));
        list.set("[+]", json!({"destination": place, "source": (source.as_str()), "options": options}));
    }
    let file = rig.dir.join("list");
    fs::write(&file, list.to_string())?;
    let mut command = rig.command(&["mounts", "add", &rig.id, &file.display().to_string()]);
    before_exec(&mut command, || limit::descriptors(FEW));
    run(&mut command, "")?.success()?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "read", "/added/299/file"])?.success()?.report();
    inside.is("read:/added/299/file", "from the host")?;
    rig.delete()
}

/// The parent opens sources in several passes; an error in a later one names the mount, too.
fn many_with_a_missing_source(rig: &mut Rig) -> Outcome {
    let mut bundle = large_bundle(rig, rig.bundle()?, &["rbind"])?;
    bundle.bind(&rig.dir.join("nothing"), "/data", &["bind"]);
    bundle.verbs(&[]);
    let mut command = rig.launch("run", &bundle, &[])?;
    before_exec(&mut command, || limit::descriptors(FEW));
    rig.failure(&run(&mut command, "")?, &["mounts[406] /data", "nothing", "no such file"])?;
    rig.nothing_left()
}
