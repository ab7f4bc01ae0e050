//! The lifecycle of systemd scopes: names in use, failures, crashes, users; and cgroups that systemd has delegated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::content;
use super::systemd::{bundle, has, nothing_left, property, removed, scope, unit, with_systemd};
use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::command::{LIMIT, run, start};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "systemd",
    systemd_scope_name_in_use_is_rejected,
    systemd_failure_leaves_nothing,
    systemd_foreground,
    systemd_create_killed,
    systemd_through_the_system_bus,
    systemd_scope_that_stops_by_itself_is_not_stopped,
    systemd_scope_with_another_process_is_stopped,
    systemd_rootless,
    delegated_cgroup,
    delegated_manager_needs_a_delegated_cgroup,
];

fn systemd_scope_name_in_use_is_rejected(rig: &mut Rig) -> Outcome {
    let mut first = bundle(rig)?;
    let _running = rig.waiting(&mut first)?;
    let id = rig.id.clone();
    rig.id = format!("{id}-second");
    let output = rig.run(&first, &[])?;
    output.failure(&["StartTransientUnit", &unit(rig), "org.freedesktop.systemd1.UnitExists"])?;
    // The scope of the other container is not removed.
    rig.delete()?;
    rig.id = id;
    rig.status_is("running")?;
    removed(rig)
}

fn systemd_failure_leaves_nothing(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    // A failure in the cgroup below the scope.
    bundle.set("linux.resources.unified", json!({"memory.max": "what"}));
    rig.rejected(&bundle, &["linux.resources.unified", "memory.max"])?;
    has(rig, &[("LoadState", "not-found")])?;
    // A failure in the child.
    bundle.remove("linux.resources.unified");
    bundle.set("process.args", json!(["/no/such/program"]));
    rig.rejected(&bundle, &["/no/such/program"])?;
    nothing_left(rig)
}

fn systemd_foreground(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    for code in ["0", "7"] {
        bundle.verbs(&["exit", code]);
        same("exit code", rig.run(&bundle, &[])?.code().to_string().as_str(), code)?;
        nothing_left(rig)?;
    }
    Ok(())
}

/// Killed after delays of all lengths: `delete --force` leaves nothing.
fn systemd_create_killed(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    let begin = Instant::now();
    rig.create(&bundle, &[])?;
    let duration = begin.elapsed();
    rig.delete()?;
    for round in 0..24u32 {
        let mut running = start(&mut rig.launch("create", &bundle, &[])?, false)?;
        // Sleeps because the delay is what is varied; there is no event to wait for.
        std::thread::sleep(duration.mul_f64(f64::from(round) / 20.0));
        let _ = running.signal(libc::SIGKILL);
        running.status()?;
        rig.delete()?;
        is_unloaded(rig, round)?;
    }
    nothing_left(rig)
}

/// Waits until the scope is removed: systemd carries out a request of a process that has been killed.
fn is_unloaded(rig: &Rig, round: u32) -> Outcome {
    let begin = Instant::now();
    while property(rig, "LoadState")? != "not-found" {
        if begin.elapsed() > LIMIT {
            return fail(format_args!("round {round}: the scope is {}", property(rig, "ActiveState")?));
        }
        // Polls, as there is no signal for a unit that was unloaded from another connection.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn systemd_through_the_system_bus(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    let bus = Path::new("/run/dbus/system_bus_socket");
    if !bus.exists() {
        return skip_allowed("no D-Bus system bus");
    }
    bundle.verbs(&[]);
    // The private socket of systemd is hidden from the runtime.
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || {
        sys::unshare(libc::CLONE_NEWNS)?;
        sys::bind_over(Path::new("/dev/null"), Path::new("/run/systemd/private"))
    });
    run(&mut command, "")?.success()?;
    nothing_left(rig)
}

/// An empty scope stops by itself: mote waits for that, and sends systemd no request.
fn systemd_scope_that_stops_by_itself_is_not_stopped(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    for _ in 0..8 {
        let _running = rig.waiting(&mut bundle)?;
        let mut command = rig.command(&["delete", "--force", &rig.id]);
        sys::before_exec(&mut command, || {
            sys::unshare(libc::CLONE_NEWNS)?;
            sys::bind_over(Path::new("/dev/null"), Path::new("/run/systemd/private"))?;
            sys::bind_over(Path::new("/dev/null"), Path::new("/run/dbus/system_bus_socket"))
        });
        run(&mut command, "")?.success()?;
        nothing_left(rig)?;
    }
    Ok(())
}

/// A process of another program is in the scope.
fn systemd_scope_with_another_process_is_stopped(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    bundle.set("annotations.\"run.oci.systemd.subgroup\"", "container");
    let _running = rig.waiting(&mut bundle)?;
    let beside = scope(rig).join("beside");
    fs::create_dir(&beside)?;
    let script = "echo $$ >cgroup.procs && echo in && exec sleep 1000";
    let mut other = start(Command::new("sh").args(["-c", script]).current_dir(&beside), false)?;
    other.lines.until("in")?;
    removed(rig)?;
    holds("the other process was killed", !other.status()?.0.success())
}

/// A user with a systemd user instance.
pub fn user() -> Outcome<(u32, PathBuf)> {
    for entry in fs::read_dir("/run/user").into_iter().flatten() {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0);
        if id != 0 && path.join("systemd/private").exists() {
            return Ok((id, path));
        }
    }
    skip_allowed("no systemd user instance")
}

fn systemd_rootless(rig: &mut Rig) -> Outcome {
    with_systemd(rig)?;
    let (id, runtime) = user()?;
    let mut bundle = rig.bundle()?;
    let map = json!([{"containerID": 0i64, "hostID": (i64::from(id)), "size": 1i64}]);
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map);
    bundle.set("linux.cgroupsPath", format!(":mote:{}", rig.cgroup));
    bundle.set("linux.resources.pids.limit", 13i64);
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    run(Command::new("chown").arg("-R").arg(format!("{id}:{id}")).arg(&rig.dir), "")?.success()?;
    rig.user = Some(id);
    let dir = bundle.dir.display().to_string();
    let mut kept = Vec::new();
    for words in [
        vec!["run", "--detach", "--bundle", &dir, &rig.id],
        vec!["exec", &rig.id, "/payload", "id"],
        vec!["update", "--pids-limit", "17", &rig.id],
    ] {
        let mut command = rig.command(&words);
        command.env("XDG_RUNTIME_DIR", &runtime);
        let mut running = start(&mut command, false)?;
        let (status, errors) = running.status()?;
        holds(&format!("{words:?}: {errors}"), status.success())?;
        // The container prints after `delete`.
        kept.push(running);
    }
    let table = fs::read_to_string(format!("/proc/{}/cgroup", rig.pid()?))?;
    contains(
        "the cgroup",
        &table,
        &format!("/user@{id}.service/user.slice/mote-{}.scope/container", rig.cgroup),
    )?;
    let own = PathBuf::from("/sys/fs/cgroup").join(table.trim().trim_start_matches("0::/"));
    same("pids.max", content(&own, "pids.max")?.as_str(), "17")?;
    same("pids.max of the scope", content(own.parent().unwrap_or(&own), "pids.max")?.as_str(), "17")?;
    rig.delete()?;
    holds("the scope is removed", !own.parent().is_some_and(Path::exists))
}

/// Without systemd as cgroup manager, in a service with a delegated cgroup.
fn delegated_cgroup(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig)?;
    rig.globals.clear();
    bundle.set("linux.cgroupsPath", rig.cgroup.as_str());
    bundle.set("linux.resources.pids.limit", 13i64);
    bundle.verbs(&["read", "/proc/self/cgroup"]);
    bundle.without_namespace("cgroup");
    bundle.write()?;
    let unit = format!("{}.service", rig.id);
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--wait", "--pipe", "--collect", "--unit", &unit]);
    command.args(["--property", "Delegate=yes", "--property", "DelegateSubgroup=own"]);
    command.arg(&rig.suite.runtime).arg("--root").arg(&rig.state).args([
        "--cgroup-manager",
        "delegated",
        "run",
    ]);
    command.arg("--bundle").arg(&bundle.dir).arg(&rig.id);
    let inside = run(&mut command, "")?.success()?.report();
    let path = format!("0::/system.slice/{unit}/{}", rig.cgroup);
    contains("the cgroup", inside.get("read:/proc/self/cgroup"), &path)
}

fn delegated_manager_needs_a_delegated_cgroup(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig)?;
    rig.globals = vec!["--cgroup-manager".to_string(), "delegated".to_string()];
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let mut command = Command::new("systemd-run");
    command
        .args(["--quiet", "--wait", "--pipe", "--collect"])
        .arg(&rig.suite.runtime)
        .arg("--root")
        .arg(&rig.state);
    command.args(&rig.globals).args(["run", "--bundle", &dir, &rig.id]);
    let output = run(&mut command, "")?;
    contains("the error", &output.stderr, "--cgroup-manager delegated: ")?;
    contains("the error", &output.stderr, "is not delegated")
}
