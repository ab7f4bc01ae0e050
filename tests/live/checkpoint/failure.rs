//! Dumps and restores that fail: nothing is lost, and nothing is left.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{container, dump, images, needs_criu, restore, restore_command, signal};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, lacks, same};
use crate::command::{Running, run};
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "checkpoint",
    criu_is_missing,
    criu_gets_nothing_of_the_caller,
    criu_dies_and_leaves_a_process,
    wrong_state_is_rejected,
    dump_that_fails,
    restore_that_fails,
    directories_of_others_are_rejected,
    files_that_are_none_of_criu_are_rejected,
    parent_path_is_checked,
    values_are_checked,
    restore_of_a_used_id_is_rejected,
    hook_that_fails,
    restored_process_in_a_wrong_namespace,
];

/// Neither needs CRIU to name what is missing.
fn criu_is_missing(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut running = container(rig, &mut bundle, &["wait", "1"])?;
    let path = images(rig).display().to_string();
    let without = |words: &[&str]| run(rig.command(words).env("PATH", "/nonexistent"), "");
    let failed = without(&["checkpoint", "--image-path", &path, &rig.id])?;
    same(
        "the error",
        failed.stderr.as_str(),
        "mote: checkpoint: criu: not found (install CRIU 3.15 or newer, or set PATH)\n",
    )?;
    same("the exit code", failed.code(), 1)?;
    rig.status_is("running")?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()?;
    fs::create_dir(images(rig))?;
    let failed = run(restore_command(rig, &bundle, &[])?.env("PATH", "/nonexistent"), "")?;
    same(
        "the error",
        failed.stderr.as_str(),
        "mote: restore: criu: not found (install CRIU 3.15 or newer, or set PATH)\n",
    )?;
    rig.nothing_left()
}

/// A directory that is removed when the test ends.
struct Removed(std::path::PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A script in place of CRIU: its directory, and a PATH with it.
fn instead_of_criu(rig: &Rig, script: &str) -> Outcome<(Removed, String)> {
    // Not below /tmp, which a restore covers.
    let bin = Removed(std::path::PathBuf::from(format!("/var/tmp/{}", rig.id)));
    let program = bin.0.join("criu");
    fs::create_dir(&bin.0)?;
    fs::write(&program, format!("#!/bin/sh\n{script}"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", bin.0.display(), std::env::var("PATH").unwrap_or_default());
    Ok((bin, path))
}

/// Prints its environment and its file descriptors: PATH (a shell adds others), the standard ones and the socket.
const PRINT: &str = "export -p | grep -c .
export -p | grep SECRET
for fd in /proc/$$/fd/*; do echo ${fd##*/}; done
";

fn criu_gets_nothing_of_the_caller(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["wait", "1"])?;
    let (_bin, path) = instead_of_criu(rig, PRINT)?;
    let open = fs::File::open("/dev/null")?;
    let with = |mut command: std::process::Command| -> Outcome<crate::command::Output> {
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        sys::before_exec(&mut command, move || sys::duplicate_to(number, 77));
        run(command.env("PATH", &path).env("SECRET", "secret"), "")
    };
    let images = images(rig).display().to_string();
    let failed = with(rig.command(&["checkpoint", "--image-path", &images, &rig.id]))?;
    failed.failure(&["criu has ended without a reply"])?;
    lacks("the output", &failed.stderr, "SECRET")?;
    lacks("the output", &failed.stderr, "77")?;
    rig.status_is("running")?;
    rig.delete()?;
    let failed = with(restore_command(rig, &bundle, &["--detach"])?)?;
    same("the exit code", failed.code(), 1)?;
    contains("the error", &failed.stderr, "criu has ended without a reply")?;
    lacks("the output", &failed.stdout, "SECRET")?;
    let numbers: Vec<&str> = failed.stdout.lines().skip(1).collect();
    // The shell has the script and the directory open.
    holds(&format!("only the standard ones and the socket: {numbers:?}"), numbers.len() <= 6)?;
    holds("not that of the caller", !numbers.contains(&"77"))?;
    rig.nothing_left()
}

/// A process that CRIU has started still has its end of the socket.
fn criu_dies_and_leaves_a_process(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = container(rig, &mut bundle, &["wait", "1"])?;
    let (bin, path) =
        instead_of_criu(rig, "sleep 1000 >/dev/null 2>&1 &\necho $! >${0%/*}/left\nkill -9 $$\n")?;
    let images = images(rig).display().to_string();
    let mut command = rig.command(&["checkpoint", "--image-path", &images, &rig.id]);
    let failed = run(command.env("PATH", &path), "");
    sys::kill(fs::read_to_string(bin.0.join("left"))?.trim().parse()?, libc::SIGKILL)?;
    failed?.failure(&["criu has ended without a reply: killed by SIGKILL"])?;
    rig.status_is("running")?;
    rig.delete()?;
    let failed = run(restore_command(rig, &bundle, &["--detach"])?.env("PATH", &path), "")?;
    failed.failure(&["criu has ended without a reply"])?;
    rig.nothing_left()
}

fn wrong_state_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    dump(rig, &[])?.failure(&["does not exist"])?;
    let _running = rig.create(&bundle, &[])?;
    dump(rig, &[])?.failure(&["container not running", "created"])?;
    rig.kill_init()?;
    dump(rig, &[])?.failure(&["container not running", "stopped"])?;
    rig.delete()
}

fn survivor(rig: &Rig) -> Outcome<(Bundle, Running)> {
    let mut bundle = rig.bundle()?;
    let running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    Ok((bundle, running))
}

/// Checks that the container runs as before.
fn continues(rig: &Rig, running: &mut Running, count: u32) -> Outcome {
    rig.status_is("running")?;
    signal(rig)?;
    same("the state", running.lines.next()?.as_str(), format!("state={count} true {count}").as_str())
}

/// CRIU cannot write its images.
fn dump_that_fails(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (_bundle, mut running) = survivor(rig)?;
    fs::create_dir(images(rig))?;
    fs::create_dir(images(rig).join("core-1.img"))?;
    let failed = dump(rig, &[])?;
    let log = images(rig).join("dump.log").display().to_string();
    failed.failure(&["criu: dump failed", &format!("(log: {log})"), "Error (criu/"])?;
    continues(rig, &mut running, 1)?;
    rig.mote(&["pause", &rig.id])?.success()?;
    dump(rig, &[])?.failure(&["criu: dump failed"])?;
    rig.status_is("paused")?;
    rig.mote(&["resume", &rig.id])?.success()?;
    continues(rig, &mut running, 2)?;
    rig.delete()
}

fn restore_that_fails(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (bundle, _running) = survivor(rig)?;
    dump(rig, &[])?.success()?;
    let image = images(rig).join("core-1.img");
    let content = fs::read(&image)?;
    for bad in [&[][..], &b"no image"[..], content.get(..content.len() / 2).unwrap_or_default()] {
        fs::write(&image, bad)?;
        let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
        failed.failure(&["criu: restore failed", "restore.log)", "Error (criu/"])?;
        rig.nothing_left()?;
    }
    fs::write(&image, content)?;
    // A file that the process has open is missing.
    fs::remove_file(bundle.host_path("tmp/file"))?;
    run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?.failure(&["criu: restore failed"])?;
    rig.nothing_left()?;
    fs::write(bundle.host_path("tmp/file"), "")?;
    let mut running = restore(rig, &bundle, &[])?;
    continues(rig, &mut running, 1)?;
    rig.delete()
}

fn directories_of_others_are_rejected(rig: &mut Rig) -> Outcome {
    let (bundle, mut running) = container_without_criu(rig)?;
    fs::create_dir(images(rig))?;
    let refused = |why: &str| -> Outcome {
        rejected(rig, dump(rig, &[])?, why)?;
        let mut command = restore_command(rig, &bundle, &["--detach"])?;
        let id = format!("{}-new", rig.id);
        rejected(rig, run(command.env("ID", id), "")?, "already exists")
    };
    fs::set_permissions(images(rig), fs::Permissions::from_mode(0o777))?;
    refused("writable by every user")?;
    fs::set_permissions(images(rig), fs::Permissions::from_mode(0o755))?;
    sys::chown(&images(rig), 1234, 1234)?;
    refused("owned by user 1234")?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()?;
    run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?.failure(&["owned by user 1234"])?;
    rig.nothing_left()
}

fn container_without_criu(rig: &Rig) -> Outcome<(Bundle, Running)> {
    // The directories are checked before CRIU is executed, but after it is found.
    let mut bundle = rig.bundle()?;
    match std::process::Command::new("criu").arg("--version").output() {
        Err(_) => crate::check::skip_allowed("criu is not installed"),
        Ok(_) => {
            let running = container(rig, &mut bundle, &["wait", "2"])?;
            Ok((bundle, running))
        }
    }
}

fn rejected(_: &Rig, output: crate::command::Output, why: &str) -> Outcome {
    output.failure(&[why])
}

/// Links and special files among images, such as those of an archive from elsewhere, would be opened by CRIU.
fn files_that_are_none_of_criu_are_rejected(rig: &mut Rig) -> Outcome {
    let (bundle, _running) = container_without_criu(rig)?;
    rig.delete()?;
    let victim = rig.dir.join("victim");
    fs::write(&victim, "secret")?;
    fs::create_dir(images(rig))?;
    for name in ["pages-1.img", "restore.log", "core-1.img"] {
        symlink(&victim, images(rig).join(name))?;
        let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
        failed.failure(&[&format!("{name}: not a regular file")])?;
        rig.nothing_left()?;
        fs::remove_file(images(rig).join(name))?;
    }
    // Also in the directory of a preceding dump.
    let parent = rig.dir.join("parent");
    fs::create_dir(&parent)?;
    symlink("../parent", images(rig).join("parent"))?;
    symlink(&victim, parent.join("pages-1.img"))?;
    let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
    failed.failure(&["pages-1.img: not a regular file"])?;
    // A link at the log of a separate work directory is removed, and what it refers to is not touched.
    let work = rig.dir.join("work");
    fs::create_dir(&work)?;
    fs::remove_file(parent.join("pages-1.img"))?;
    symlink(&victim, work.join("restore.log"))?;
    let path = work.display().to_string();
    let failed = run(&mut restore_command(rig, &bundle, &["--detach", "--work-path", &path])?, "")?;
    same("the exit code", failed.code(), 1)?;
    same("the victim", fs::read_to_string(&victim)?.as_str(), "secret")?;
    rig.nothing_left()
}

fn parent_path_is_checked(rig: &mut Rig) -> Outcome {
    let (_bundle, _running) = container_without_criu(rig)?;
    for (path, why) in
        [("/tmp", "must be relative"), ("../missing", "no such directory"), ("../file", "not a directory")]
    {
        fs::write(rig.dir.join("file"), "")?;
        dump(rig, &["--parent-path", path])?.failure(&["--parent-path", why])?;
    }
    rig.status_is("running")?;
    rig.delete()
}

fn values_are_checked(rig: &mut Rig) -> Outcome {
    for (options, word) in [
        (["--manage-cgroups-mode", "some"], "--manage-cgroups-mode: unknown value"),
        (["--network-lock", "some"], "--network-lock: unknown value"),
        (["--empty-ns", "pid"], "--empty-ns pid"),
        (["--page-server", "here"], "--page-server here: not in the form ADDRESS:PORT"),
        (["--page-server", ":80"], "--page-server :80"),
        (["--status-fd", "x"], "--status-fd"),
        (["--status-fd", "77"], "--status-fd 77: the file descriptor is not open"),
    ] {
        rig.usage_error(&dump(rig, &options)?, word)?;
    }
    Ok(())
}

fn restore_of_a_used_id_is_rejected(rig: &mut Rig) -> Outcome {
    let (bundle, mut running) = container_without_criu(rig)?;
    let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
    failed.failure(&["already exists"])?;
    signal(rig)?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()
}

/// A createRuntime hook that fails ends the restore.
fn hook_that_fails(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let (mut bundle, _running) = survivor(rig)?;
    dump(rig, &[])?.success()?;
    let program = rig.suite.payload.display().to_string();
    let hook = crate::json!({"path": (program.as_str()), "args": (vec!["payload", "exit", "3"])});
    bundle.set("hooks.createRuntime[+]", hook);
    let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
    contains("the error", &failed.stderr, "hooks.createRuntime[0]")?;
    contains("the error", &failed.stderr, "exit code 3")?;
    same("the exit code", failed.code(), 1)?;
    rig.nothing_left()
}

/// The configuration has a namespace that the dumped container did not have: it is not restored without it.
fn restored_process_in_a_wrong_namespace(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("ipc");
    let _running = container(rig, &mut bundle, &["survive", "/tmp/file"])?;
    dump(rig, &[])?.success()?;
    bundle.namespace("ipc", None);
    let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
    failed.failure(&[
        "linux.namespaces: the restored process is in another ipc namespace than one of its own",
    ])?;
    rig.nothing_left()
}
