//! Environment variables, working directory and umask of the caller; a host without /dev, /sys, /tmp or a writable file
//! system; mote as PID 1.

use std::fs;
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use super::{lifecycle, mount, own_mounts};
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{Output, run};
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::sys::caller::set_umask;
use crate::{nested, sys, tests};

tests![
    "inside",
    environment_of_one_megabyte,
    environment_without_path_and_home,
    environment_with_useless_paths,
    arguments_of_many_kilobytes,
    working_directory_is_deleted,
    umask_does_not_apply_to_what_is_created,
    without_dev,
    without_dev_in_a_user_namespace,
    without_dev_the_mount_point_of_a_device_is_used_again,
    without_sys,
    without_tmp_and_run,
    read_only_root,
    read_only_state,
    mote_is_pid_1,
];

fn environment_of_one_megabyte(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["env"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    // The longest that the kernel permits, MAX_ARG_STRLEN with 4 KiB pages.
    command.env("LONG", "x".repeat(131_072 - "LONG=".len() - 1));
    command.envs((0..900).map(|number| (format!("NUMBER{number}"), "x".repeat(1000))));
    let inside = run(&mut command, "")?.success()?.report();
    inside.is("env:PATH", "/bin:/usr/bin")?;
    same("variables of the caller", inside.keys("env:NUMBER").len(), 0)
}

fn environment_without_path_and_home(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    for path in [None, Some(""), Some("bin:."), Some("/nowhere")] {
        let mut command = rig.launch("run", &bundle, &[])?;
        command.env_clear().env("MOTE_LIVE", &rig.marker).envs(path.map(|path| ("PATH", path)));
        run(&mut command, "")?.success()?.report().is("say", "ran")?;
    }
    Ok(())
}

fn environment_with_useless_paths(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    for value in ["", "relative", "/nowhere/at/all", &"/long".repeat(20_000)] {
        let mut command = rig.launch("run", &bundle, &[])?;
        for name in
            ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TMPDIR", "HOME", "LISTEN_PID", "LISTEN_FDS"]
        {
            command.env(name, value);
        }
        run(&mut command, "")?.success()?.report().is("say", "ran")?;
    }
    Ok(())
}

fn arguments_of_many_kilobytes(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let long = "x".repeat(100_000);
    bundle.verbs(&["args", &long]);
    bundle.write()?;
    let (dir, pivot) = (bundle.dir.display().to_string(), vec!["--no-pivot"; 10_000]);
    let words = [&["run", "--bundle", &dir][..], &pivot, &[&rig.id]].concat();
    let inside = rig.mote(&words)?;
    contains("the arguments", &inside.stdout, &long)
}

fn in_deleted_directory(mut command: Command, rig: &Rig) -> Outcome<Output> {
    let gone = rig.dir.join("gone");
    fs::create_dir(&gone)?;
    sys::before_exec(&mut command, move || {
        std::env::set_current_dir(&gone)?;
        fs::remove_dir(&gone)
    });
    run(&mut command, "")
}

fn working_directory_is_deleted(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["cwd"]);
    in_deleted_directory(rig.launch("run", &bundle, &[])?, rig)?.success()?.report().is("cwd", "/")?;
    let relative = rig.launch("run", &bundle, &["--pid-file", "pid"])?;
    rig.failure(&in_deleted_directory(relative, rig)?, &["--pid-file", "no such file or directory"])?;
    rig.nothing_left()?;
    for bundle in [&["--bundle", "."][..], &[]] {
        let words = [&["run"][..], bundle, &[&rig.id]].concat();
        let output = in_deleted_directory(rig.command(&words), rig)?;
        rig.failure(&output, &["config.json", "no such file or directory"])?;
        rig.nothing_left()?;
    }
    let mut command = Command::new(&rig.suite.runtime);
    command.args(["--root", "state", "list"]);
    rig.prepare(&mut command);
    rig.failure(&in_deleted_directory(command, rig)?, &["--root state", "no working directory"])
}

fn umask_does_not_apply_to_what_is_created(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let source = rig.dir.join("source");
    fs::write(&source, "")?;
    bundle.bind(&source, "/etc/new/deep/file", &["bind"]);
    bundle.bind(&rig.dir, "/etc/new/directory", &["rbind"]);
    bundle.without_mount("/sys");
    fs::remove_dir(bundle.host_path("dev"))?;
    bundle.verbs(&["stat", "/dev", "stat", "/dev/null", "stat", "/dev/shm", "stat", "/etc/new", "wait", "1"]);
    let mut command = rig.launch("create", &bundle, &[])?;
    sys::before_exec(&mut command, || {
        set_umask(0o777);
        Ok(())
    });
    let mut created = crate::command::start(&mut command, false)?;
    same("the standard error", created.status()?.1.as_str(), "")?;
    let mode = |path: &Path| Ok::<_, std::io::Error>(fs::symlink_metadata(path)?.mode() & 0o7777);
    if rig.is(Runtime::Mote) {
        let own = rig.state.join(&rig.id);
        for (path, wanted) in [(&rig.state, 0o700), (&own, 0o700), (&own.join("status"), 0o600)] {
            same(&path.display().to_string(), mode(path)?, wanted)?;
        }
    }
    same("mode of a mount point", mode(&bundle.host_path("etc/new/deep"))?, 0o755)?;
    rig.mote(&["start", &rig.id])?.success()?;
    let inside = created.lines.until("waiting=1")?;
    inside.is("stat:/dev", "d 755 0 0 0:0")?;
    inside.is("stat:/dev/null", "c 666 0 0 1:3")?;
    inside.is("stat:/dev/shm", "d 1777 0 0 0:0")?;
    inside.is("stat:/etc/new", "d 755 0 0 0:0")?;
    rig.delete()
}

fn covered(path: &str) -> Result<()> {
    own_mounts()?;
    mount("tmpfs", path, "")
}

fn without_dev(rig: &mut Rig) -> Outcome {
    rig.around = Some(|_| covered("/dev"));
    lifecycle(rig, &mut rig.bundle()?)
}

fn without_dev_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    rig.around = Some(|_| covered("/dev"));
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["/dev/null", "no such file or directory"])?;
    let _holder = nested::nested(rig)?;
    let mut bundle = nested::bundle(rig)?;
    bundle.verbs(&[]);
    rig.rejected(
        &bundle,
        &[
            "linux.devices: /dev/null (mknod is denied, and only the host's can be used)",
            "open_tree /dev/null",
        ],
    )
}

/// Without a mount at /dev, the mount points of the devices remain in the image.
fn without_dev_the_mount_point_of_a_device_is_used_again(rig: &mut Rig) -> Outcome {
    let _holder = nested::nested(rig)?;
    let mut bundle = nested::bundle(rig)?;
    bundle.set("mounts", crate::json!([]));
    bundle.remove("linux.maskedPaths");
    bundle.remove("linux.readonlyPaths");
    for _ in 0..2 {
        let inside = rig.report(&mut bundle, &["write", "/dev/null", "write", "/dev/full"])?;
        inside.is("write:/dev/null", "ok")?;
        inside.is("write:/dev/full", "!ENOSPC")?;
    }
    // What is in the file is not lost.
    bundle.file("/dev/null", "content")?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["device /dev/null: the existing file is not c 1:3"])
}

fn without_sys(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("this runtime needs cgroups");
    }
    rig.around = Some(|_| covered("/sys"));
    let mut bundle = rig.bundle()?;
    lifecycle(rig, &mut bundle)?;
    bundle.set("linux.resources.pids.limit", 5i64);
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.resources", "no cgroups at /sys/fs/cgroup"])
}

/// Everything but the directory of the suite, which may be in /tmp, is read-only and empty.
fn without_tmp_and_run(rig: &mut Rig) -> Outcome {
    rig.around = Some(|dir| {
        own_mounts()?;
        let (suite, aside) = (dir.parent().unwrap_or(dir), Path::new("/mnt"));
        sys::mount(&suite.display().to_string(), aside, "", libc::MS_BIND, "")?;
        for place in ["/tmp", "/run", "/var/tmp"] {
            mount("tmpfs", place, "")?;
        }
        fs::create_dir_all(suite)?;
        sys::mount("/mnt", suite, "", libc::MS_BIND, "")?;
        sys::umount(aside)?;
        let places = ["/tmp", "/run", "/var/tmp"];
        places.iter().try_for_each(|place| sys::mount("", Path::new(place), "", READ_ONLY, ""))
    });
    lifecycle(rig, &mut rig.bundle()?)
}

const READ_ONLY: libc::c_ulong = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;

fn read_only_root(rig: &mut Rig) -> Outcome {
    fs::create_dir(&rig.state)?;
    rig.around = Some(|dir| {
        own_mounts()?;
        sys::mount("", Path::new("/"), "", READ_ONLY, "")?;
        sys::mount("tmpfs", &dir.join("state"), "tmpfs", 0, "mode=700")
    });
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["id", "create", "/etc/new", "create", "/dev/shm/new"])?;
    inside.is("pid", "1")?;
    inside.is("create:/etc/new", "!EROFS")?;
    inside.is("create:/dev/shm/new", "ok")
}

fn read_only_state(rig: &mut Rig) -> Outcome {
    rig.around = Some(|_| {
        own_mounts()?;
        sys::mount("", Path::new("/"), "", READ_ONLY, "")
    });
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["mkdirat", "state", "--root", "read-only file system"])?;
    fs::create_dir(&rig.state)?;
    fs::set_permissions(&rig.state, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    rig.rejected(&bundle, &["mkdirat", &rig.id, "read-only file system"])
}

/// PID 1 gets the orphans of its pid namespace, and no signal kills it.
fn mote_is_pid_1(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["orphan", "id", "exit", "7"]);
    bundle.write()?;
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(&rig.suite.runtime).arg("--root").arg(&rig.state);
    command.arg("run").arg("--bundle").arg(&bundle.dir).arg(&rig.id).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    let output = run(&mut command, "")?;
    same("exit code", output.code(), 7)?;
    output.report().is("ppid", "1")?;
    rig.nothing_left()
}
