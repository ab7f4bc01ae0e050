//! Rootless: an ordinary user, with a user namespace in which this user is root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::bundle::Bundle;
use crate::cgroups::unified_top;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command;
use crate::filter::listener;
use crate::json;
use crate::json::Json;
use crate::rig::{Layout, Rig, Runtime};
use crate::{sys, tests};

tests![
    "rootless",
    rootless_is_root_inside,
    rootless_files_belong_to_the_user,
    rootless_devices_work,
    rootless_exit_code,
    rootless_create_start_kill_delete,
    rootless_exec,
    rootless_state_is_in_the_runtime_directory,
    rootless_groups_are_rejected,
    rootless_map_of_another_id_is_rejected,
    rootless_idmap_is_rejected,
    rootless_runs_without_a_cgroup,
    rootless_root_of_a_user_namespace_runs_without_a_cgroup,
    rootless_limit_without_a_cgroup_is_rejected,
    rootless_devices_of_root_in_a_user_namespace,
    rootless_runs_without_a_device_program,
    rootless_spec_runs,
    rootless_filter,
    rootless_listener,
    rootless_listener_of_start,
];

pub const USER: u32 = 12345;

/// Makes the rig call the runtime as an ordinary user.
pub fn as_ordinary_user(rig: &mut Rig) -> Outcome {
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if limit.trim() == "0" {
        return skip_allowed("this machine has no user namespaces");
    }
    if rig.is(Runtime::Crun) && rig.layout == Layout::Machine {
        return skip_allowed("crun rejects the hybrid layout");
    }
    sys::chown(&rig.dir, USER, USER)?;
    rig.user = Some(USER);
    Ok(())
}

/// A bundle that belongs to the user, except for the payload, which everybody may execute.
pub fn user_namespace_bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    let map = json!([{"containerID": 0i64, "hostID": 12345i64, "size": 1i64}]);
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map);
    bundle.remove("linux.cgroupsPath");
    give_to_user(&bundle.dir)?;
    Ok(bundle)
}

pub fn give_to_user(dir: &Path) -> Outcome {
    sys::chown(dir, USER, USER)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_to_user(&entry.path())?;
        }
    }
    Ok(())
}

fn rootless_is_root_inside(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let inside =
        rig.report(&mut user_namespace_bundle(rig)?, &["id", "read", "/proc/self/uid_map", "uts", "ns"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("gid", "0 0 0")?;
    inside.is("pid", "1")?;
    inside.is("hostname", "inside")?;
    let map: Vec<&str> = inside.get("read:/proc/self/uid_map").split_whitespace().collect();
    same("the map", map, vec!["0", "12345", "1"])
}

fn rootless_files_belong_to_the_user(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    let inside = rig.report(&mut bundle, &["create", "/etc/new", "stat", "/etc/new"])?;
    inside.is("stat:/etc/new", "f 644 0 0 0:0")?;
    same("the owner outside", fs::metadata(bundle.host_path("etc/new"))?.uid(), USER)
}

fn rootless_devices_work(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let verbs =
        ["write", "/dev/null", "write", "/dev/full", "open", "/dev/ptmx", "mounts", "create", "/dev/shm/x"];
    let inside = rig.report(&mut user_namespace_bundle(rig)?, &verbs)?;
    inside.is("write:/dev/null", "ok")?;
    inside.is("write:/dev/full", "!ENOSPC")?;
    inside.is("open:/dev/ptmx", "ok")?;
    inside.is("create:/dev/shm/x", "ok")
}

fn rootless_exit_code(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["exit", "9"]);
    same("exit code", rig.run(&bundle, &[])?.code(), 9)
}

fn rootless_create_start_kill_delete(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;
    let state = rig.state()?;
    same("status", state.at("status").text(), "running")?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    let list = Json::parse(&rig.mote(&["list", "-f", "json"])?.success()?.stdout)?;
    same("containers", list.items().len(), 1)?;
    rig.mote(&["kill", &rig.id, "TERM"])?.success()?;
    same("the payload's output", created.lines.all()?.as_str(), "signal=15\n")?;
    holds("the init exits", sys::readable(&pidfd, command::LIMIT)?)?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

/// The groups are dropped when the container is created, which `exec` cannot do again.
fn rootless_exec(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "id"])?.success()?.report();
    inside.is("uid", "0 0 0")?;
    rig.delete()
}

/// Without `--root`, the state is below XDG_RUNTIME_DIR, and other users have no access.
fn rootless_state_is_in_the_runtime_directory(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let runtime = rig.dir.join("run");
    fs::create_dir(&runtime)?;
    sys::chown(&runtime, USER, USER)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    let call = |words: &[&str]| {
        let mut command = Command::new(&rig.suite.runtime);
        command.args(words).env("MOTE_LIVE", &rig.marker);
        rig.prepare(&mut command);
        command.env("XDG_RUNTIME_DIR", &runtime);
        command::run(&mut command, "")
    };
    let dir = bundle.dir.display().to_string();
    call(&["create", "--bundle", &dir, &rig.id])?.success()?;
    let state = Json::parse(&call(&["state", &rig.id])?.success()?.stdout)?;
    same("status", state.at("status").text(), "created")?;
    let place = runtime.join(match rig.suite.kind {
        Runtime::Mote => "mote",
        Runtime::Runc => "runc",
        Runtime::Crun => "crun",
    });
    holds("the state directory exists", place.join(&rig.id).is_dir())?;
    same("permissions for group and others", fs::metadata(&place)?.mode() & 0o077, 0)?;
    call(&["delete", "--force", &rig.id])?.success()?;
    holds("the state directory is removed", !place.join(&rig.id).exists())
}

/// The kernel denies setgroups(2) in a user namespace of an ordinary user: the setting must be rejected, not ignored.
fn rootless_groups_are_rejected(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun ignores them");
    }
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["id"]);
    bundle.set("process.user.additionalGids", json!([5i64]));
    rig.rejected(&bundle, &["process.user.additionalGids"])
}

fn rootless_map_of_another_id_is_rejected(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["id"]);
    bundle.set("linux.uidMappings[0].hostID", 4444i64);
    rig.rejected(&bundle, &["linux.uidMappings"])
}

/// An idmapped mount must not be mounted without its mapping. The kernel first checks whether the filesystem supports
/// idmapped mounts (EINVAL), then whether the caller owns it (EPERM).
fn rootless_idmap_is_rejected(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let source = rig.dir.join("source");
    fs::create_dir(&source)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["id"]);
    bundle.bind(&source, "/tmp", &["bind", "idmap"]);
    let output = rig.run(&bundle, &[])?;
    rig.failure(&output, &["mounts[6]", "mount_setattr idmap"])?;
    let reasons = [": operation not permitted\n", ": invalid argument\n"];
    let has_reason = reasons.iter().any(|reason| output.stderr.ends_with(reason));
    holds(&format!("the kernel's reason: {}", output.stderr), has_reason || !rig.is(Runtime::Mote))
}

/// An ordinary user usually may not create cgroups.
fn rootless_runs_without_a_cgroup(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let inside = rig.report(&mut user_namespace_bundle(rig)?, &["say", "runs"])?;
    inside.is("say", "runs")
}

/// As rootless podman: by root of a user namespace that an ordinary user has created.
fn run_as_root_of_a_namespace(rig: &mut Rig, bundle: Bundle) -> Outcome<command::Output> {
    let mut command = as_root_of_a_namespace(rig, bundle)?;
    rig.prepare(&mut command);
    command::run(&mut command, "")
}

fn as_root_of_a_namespace(rig: &Rig, mut bundle: Bundle) -> Outcome<Command> {
    bundle.set("linux.uidMappings[0].hostID", 0i64);
    bundle.set("linux.gidMappings[0].hostID", 0i64);
    within_a_namespace(rig, bundle)
}

fn within_a_namespace(rig: &Rig, mut bundle: Bundle) -> Outcome<Command> {
    // unshare(1) denies setgroups(2) before it writes a map of one group.
    bundle.set("annotations.\"run.oci.keep_original_groups\"", "1");
    let launched = rig.launch("run", &bundle, &[])?;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(launched.get_program()).args(launched.get_args());
    command.env("MOTE_LIVE", &rig.marker);
    Ok(command)
}

fn rootless_root_of_a_user_namespace_runs_without_a_cgroup(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["say", "runs"]);
    run_as_root_of_a_namespace(rig, bundle)?.success()?.report().is("say", "runs")
}

/// A limit must not be ignored silently.
fn rootless_limit_without_a_cgroup_is_rejected(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&["say", "runs"]);
    bundle.set("linux.resources.pids.limit", 100i64);
    let output = run_as_root_of_a_namespace(rig, bundle)?;
    rig.failure(&output, &["cgroup"])
}

/// As rootless podman does: the container has no user namespace, but is in that of podman.
fn rootless_devices_of_root_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.without_namespace("user");
    bundle.remove("linux.uidMappings");
    bundle.remove("linux.gidMappings");
    bundle.verbs(&["open_rw", "/dev/null", "open_rw", "/dev/zero"]);
    let mut command = within_a_namespace(rig, bundle)?;
    rig.prepare(&mut command);
    let inside = command::run(&mut command, "")?.success()?.report();
    inside.is("open_rw:/dev/null", "ok")?;
    inside.is("open_rw:/dev/zero", "ok")
}

/// A user may create cgroups in a delegated cgroup, but not load programs for them. The user namespace restricts the
/// devices instead.
fn rootless_runs_without_a_device_program(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    as_ordinary_user(rig)?;
    let given = unified_top().join(&rig.cgroup);
    fs::create_dir_all(given.join("own"))?;
    for name in ["", "cgroup.procs", "own/cgroup.procs"] {
        sys::chown(&given.join(name), USER, USER)?;
    }
    for root_in_namespace in [false, true] {
        let mut bundle = user_namespace_bundle(rig)?;
        bundle.set("linux.cgroupsPath", format!("/{}/leaf", rig.cgroup));
        bundle.set("linux.resources.devices", json!([{"allow": false, "access": "rwm"}]));
        bundle.verbs(&["cgroup", "write", "/dev/null", "device", "/tmp/mem", "c", "1", "1"]);
        let mut command = match root_in_namespace {
            true => as_root_of_a_namespace(rig, bundle)?,
            false => {
                let launched = rig.launch("run", &bundle, &[])?;
                let mut command = Command::new(launched.get_program());
                command.args(launched.get_args()).env("MOTE_LIVE", &rig.marker);
                command
            }
        };
        let processes = given.join("own/cgroup.procs");
        sys::before_exec(&mut command, move || fs::write(&processes, "0"));
        rig.prepare(&mut command);
        let inside = command::run(&mut command, "")?.success()?.report();
        inside.is("cgroup:", &format!("/{}/leaf", rig.cgroup))?;
        inside.is("write:/dev/null", "ok")?;
        inside.is("device:/tmp/mem", "!EPERM")?;
        holds("the cgroup is removed", !given.join("leaf").exists())?;
    }
    crate::cleanup::remove_cgroups(&rig.cgroup);
    Ok(())
}

fn rootless_spec_runs(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    let mut command = rig.command(&["spec", "--rootless"]);
    command.current_dir(&bundle.dir);
    command::run(&mut command, "")?.success()?;
    bundle.config = Json::parse(&fs::read_to_string(bundle.dir.join("config.json"))?)?;
    bundle.set("process.terminal", false);
    if !rig.is(Runtime::Mote) {
        // Without CAP_SYS_RESOURCE, the limit of runc and crun may be above the caller's.
        bundle.remove("process.rlimits");
    }
    rig.report(&mut bundle, &["id"])?.is("uid", "0 0 0")
}

fn rootless_filter(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.set(
        "linux.seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["munlockall"], "action": "SCMP_ACT_ERRNO"}]
        }),
    );
    rig.report(&mut bundle, &["syscall", "munlockall"])?.is("syscall:munlockall", "!EPERM")
}

/// After the user has set a filter, only the same user may access the memory of the process.
fn rootless_listener(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    for no_new_privileges in [false, true] {
        listener::of_run(rig, user_namespace_bundle(rig)?, no_new_privileges)?;
    }
    Ok(())
}

/// `start` is neither parent nor child of the container's process.
fn rootless_listener_of_start(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    listener::of_start(rig, user_namespace_bundle(rig)?)
}
