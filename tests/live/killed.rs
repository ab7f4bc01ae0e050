//! mote killed before each of its system calls, for every command and several kinds of containers: afterwards `state`
//! is right, `exec` enters no container that is not set up, and `delete --force` leaves nothing behind.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::bundle::Bundle;
use crate::cgroups::systemd;
use crate::check::{Outcome, fail, holds, same, skip_allowed};
use crate::cleanup::cgroups;
use crate::command::Running;
use crate::filter::{profile, rule};
use crate::json;
use crate::json::Json;
use crate::namespaces::join::{proc_path, user_namespace_of_a_process};
use crate::rig::{Rig, Runtime};
use crate::sys::trace::killed_at;
use crate::tests;

tests![
    "killed",
    alone: true,
    create_killed_before_each_call,
    create_in_a_user_namespace_killed_before_each_call,
    create_in_a_joined_user_namespace_killed_before_each_call,
    create_with_hooks_killed_before_each_call,
    create_with_a_terminal_killed_before_each_call,
    create_with_a_listener_killed_before_each_call,
    create_with_systemd_killed_before_each_call,
    run_killed_before_each_call,
    run_in_a_user_namespace_killed_before_each_call,
    run_with_hooks_killed_before_each_call,
    start_killed_before_each_call,
    start_with_hooks_killed_before_each_call,
    exec_killed_before_each_call,
    exec_in_a_user_namespace_killed_before_each_call,
    update_killed_before_each_call,
    pause_killed_before_each_call,
    kill_killed_before_each_call,
    mounts_killed_before_each_call,
    delete_killed_before_each_call,
    delete_with_hooks_killed_before_each_call,
];

/// More system calls than any command here makes.
const MOST: u32 = 3000;

/// Kills the command that `prepare` returns before its first system call, then before its second one, and so on until
/// it exits before it is killed.
fn killed_before_each_call(rig: &Rig, mut prepare: impl FnMut() -> Outcome<Command>) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun leave parts behind");
    }
    for number in 0..MOST {
        let mut command = prepare()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let killed = killed_at(&mut command, number)?;
        is_consistent(rig, number)?;
        rig.nothing_left_after(format_args!("call {number}"))?;
        if !killed {
            return holds("more than 20 system calls", number > 20);
        }
    }
    fail("the command makes too many system calls")
}

/// Checks that `state` either shows the container or reports that it does not exist, that `exec` enters only a
/// container that is set up, and that `delete --force` succeeds.
fn is_consistent(rig: &Rig, number: u32) -> Outcome {
    let state = rig.mote(&["state", &rig.id])?;
    if state.code() == 0 {
        let status = Json::parse(&state.stdout)?.at("status").text().to_string();
        let known = ["creating", "created", "running", "paused", "stopped"].contains(&status.as_str());
        holds(&format!("call {number}: status {status:?}"), known)?;
        let exec = rig.mote(&["exec", &rig.id, "/payload", "open", "/dev/full", "open", "/proc/kcore"])?;
        let inside = ["created", "running"].contains(&status.as_str());
        if exec.code() == 0 {
            holds(&format!("call {number}: exec succeeded although it is {status}"), inside)?;
            // A default device exists, and a masked path is masked.
            let report = exec.report();
            same("a device", report.get("open:/dev/full"), "ok")?;
        } else {
            // Rejected; or the killed command had sent SIGKILL, and the processes are about to exit.
            holds(
                &format!("call {number}: {} {}", exec.code(), exec.stderr),
                [137, 255].contains(&exec.code()),
            )?;
        }
    } else if state.code() != 1 || !state.stderr.contains("does not exist") {
        return fail(format_args!("call {number}: state: {:?}", state.stderr));
    }
    let delete = rig.mote(&["delete", "--force", &rig.id])?;
    match (delete.code(), delete.stderr.as_str()) {
        (0, "") => Ok(()),
        (code, errors) => {
            let left = processes_left(rig);
            fail(format_args!("call {number}: delete: {code} {errors:?}; {left}"))
        }
    }
}

/// The processes that are left, and what each waits for in the kernel.
fn processes_left(rig: &Rig) -> String {
    let of = |pid: &str| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        [pid, &read("stat"), &read("stack"), &read("cmdline"), &read("cgroup")].join(" ")
    };
    let list = |path: std::path::PathBuf| fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let pids: String = cgroups(&rig.cgroup).into_iter().map(list).collect();
    pids.lines().map(of).collect::<Vec<_>>().join("; ")
}

fn waiting(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

fn launch(rig: &mut Rig, verb: &str, change: impl FnOnce(&mut Bundle)) -> Outcome {
    let mut bundle = waiting(rig)?;
    change(&mut bundle);
    launch_with(rig, verb, &bundle, &[], || Ok(()))
}

/// `between` is called before each command.
fn launch_with(
    rig: &Rig,
    verb: &str,
    bundle: &Bundle,
    options: &[&str],
    between: impl Fn() -> Outcome,
) -> Outcome {
    let detach: &[&str] = if verb == "run" { &["--detach"] } else { &[] };
    let options = [detach, options].concat();
    killed_before_each_call(rig, || between().and_then(|()| rig.launch(verb, bundle, &options)))
}

fn add_hooks(bundle: &mut Bundle, program: &str) {
    for point in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let path = if point == "startContainer" { "/payload" } else { program };
        bundle.set(&format!("hooks.{point}[+]"), json!({"path": path, "args": (vec!["payload"])}));
    }
}

fn create_killed_before_each_call(rig: &mut Rig) -> Outcome {
    launch(rig, "create", |_| {})
}

fn create_in_a_user_namespace_killed_before_each_call(rig: &mut Rig) -> Outcome {
    launch(rig, "create", |bundle| bundle.user_namespace(100_000))
}

/// An intermediate process joins it.
fn create_in_a_joined_user_namespace_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    launch(rig, "create", |bundle| bundle.namespace("user", Some(&proc_path(pid, "user"))))
}

fn create_with_hooks_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let program = rig.suite.payload.display().to_string();
    launch(rig, "create", |bundle| add_hooks(bundle, &program))
}

fn create_with_a_terminal_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting(rig)?;
    bundle.set("process.terminal", true);
    let console = UnixListener::bind(rig.dir.join("console"))?;
    let path = rig.dir.join("console").display().to_string();
    launch_with(rig, "create", &bundle, &["--console-socket", &path], || drain(&console))
}

fn create_with_a_listener_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting(rig)?;
    let agent = UnixListener::bind(rig.dir.join("agent"))?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_NOTIFY", &["munlockall"])]));
    bundle.set("linux.seccomp.listenerPath", rig.dir.join("agent").display().to_string());
    launch_with(rig, "create", &bundle, &[], || drain(&agent))
}

/// Accepts all pending connections.
fn drain(socket: &UnixListener) -> Outcome {
    socket.set_nonblocking(true)?;
    while socket.accept().is_ok() {}
    Ok(())
}

fn create_with_systemd_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let mut bundle = systemd::bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    launch_with(rig, "create", &bundle, &[], || Ok(()))
}

fn run_killed_before_each_call(rig: &mut Rig) -> Outcome {
    launch(rig, "run", |_| {})
}

fn run_in_a_user_namespace_killed_before_each_call(rig: &mut Rig) -> Outcome {
    launch(rig, "run", |bundle| bundle.user_namespace(100_000))
}

fn run_with_hooks_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let program = rig.suite.payload.display().to_string();
    launch(rig, "run", |bundle| add_hooks(bundle, &program))
}

/// A command on a container that is created or running.
fn on_container(rig: &mut Rig, started: bool, change: impl FnOnce(&mut Bundle), words: &[&str]) -> Outcome {
    let mut bundle = waiting(rig)?;
    change(&mut bundle);
    let mut container: Option<Running> = None;
    killed_before_each_call(rig, || {
        let mut running = rig.create(&bundle, &[])?;
        if started {
            rig.mote(&["start", &rig.id])?.success()?;
            running.lines.until("waiting=1")?;
        }
        container = Some(running);
        Ok(rig.command(words))
    })
}

fn start_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, false, |_| {}, &["start", &id])
}

fn start_with_hooks_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let (id, program) = (rig.id.clone(), rig.suite.payload.display().to_string());
    on_container(rig, false, |bundle| add_hooks(bundle, &program), &["start", &id])
}

fn exec_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |_| {}, &["exec", &id, "/payload"])
}

fn exec_in_a_user_namespace_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |bundle| bundle.user_namespace(100_000), &["exec", &id, "/payload"])
}

fn update_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |_| {}, &["update", "--pids-limit", "20", &id])
}

fn pause_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |_| {}, &["pause", &id])
}

fn kill_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |_| {}, &["kill", "--all", &id, "KILL"])
}

fn mounts_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let (id, list) = (rig.id.clone(), rig.dir.join("mounts.json"));
    fs::write(&list, r#"[{"destination": "/added", "type": "tmpfs", "source": "tmpfs"}]"#)?;
    on_container(rig, true, |_| {}, &["mounts", "add", &id, &list.display().to_string()])
}

fn delete_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on_container(rig, true, |_| {}, &["delete", "--force", &id])
}

fn delete_with_hooks_killed_before_each_call(rig: &mut Rig) -> Outcome {
    let (id, program) = (rig.id.clone(), rig.suite.payload.display().to_string());
    on_container(rig, false, |bundle| add_hooks(bundle, &program), &["delete", &id])
}
