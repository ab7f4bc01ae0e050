//! mote killed before each of its system calls, with every command and every kind of container: what is there then is told
//! truly, nobody is let into what is not set up, and `delete --force` leaves nothing.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::bundle::Bundle;
use crate::cgroups::systemd;
use crate::check::{Outcome, Stop, fail, holds, same, skip_allowed};
use crate::cleanup::cgroups;
use crate::command::Running;
use crate::filter::{profile, rule};
use crate::json;
use crate::json::Json;
use crate::namespaces::join::{held_user, proc_path};
use crate::rig::{Runtime, Rig};
use crate::sys::trace::killed_at;
use crate::tests;

tests![
    "killed",
    alone: true,
    killed_at_each_call_of_create,
    killed_at_each_call_of_create_in_a_user_namespace,
    killed_at_each_call_of_create_in_a_joined_user_namespace,
    killed_at_each_call_of_create_with_hooks,
    killed_at_each_call_of_create_with_a_terminal,
    killed_at_each_call_of_create_with_a_listener,
    killed_at_each_call_of_create_with_systemd,
    killed_at_each_call_of_run,
    killed_at_each_call_of_run_in_a_user_namespace,
    killed_at_each_call_of_run_with_hooks,
    killed_at_each_call_of_start,
    killed_at_each_call_of_start_with_hooks,
    killed_at_each_call_of_exec,
    killed_at_each_call_of_exec_in_a_user_namespace,
    killed_at_each_call_of_update,
    killed_at_each_call_of_pause,
    killed_at_each_call_of_kill,
    killed_at_each_call_of_mounts,
    killed_at_each_call_of_delete,
    killed_at_each_call_of_delete_with_hooks,
];

/// More than any command here makes.
const MOST: u32 = 3000;

/// Kills the command that `prepare` gives before its first system call, then before its second, until it comes to its end.
fn swept(rig: &Rig, mut prepare: impl FnMut() -> Outcome<Command>) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun leave what they leave");
    }
    for number in 0..MOST {
        let mut command = prepare()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let killed = killed_at(&mut command, number)?;
        told_truly(rig, number)?;
        match rig.nothing_left() {
            Err(Stop::Fail(why)) => return fail(format_args!("call {number}: {why}")),
            other => other?,
        }
        if !killed {
            return holds("more than 20 system calls", number > 20);
        }
    }
    fail("it never ends")
}

/// `state` knows the container or not; `exec` is refused or lands in the container; `delete --force` takes everything away.
fn told_truly(rig: &Rig, number: u32) -> Outcome {
    let state = rig.mote(&["state", &rig.id])?;
    if state.code() == 0 {
        let status = Json::parse(&state.stdout)?.at("status").text().to_string();
        let known = ["creating", "created", "running", "paused", "stopped"].contains(&status.as_str());
        holds(&format!("call {number}: status {status:?}"), known)?;
        let exec = rig.mote(&["exec", &rig.id, "/payload", "open", "/dev/full", "open", "/proc/kcore"])?;
        let inside = ["created", "running"].contains(&status.as_str());
        if exec.code() == 0 {
            holds(&format!("call {number}: entered though {status}"), inside)?;
            // A node that is made, and a mask that lies over it.
            let report = exec.report();
            same("a device", report.get("open:/dev/full"), "ok")?;
        } else {
            // DeniedCalls; or the command that was killed had sent SIGKILL, of which its processes die any moment.
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
            let left = stuck(rig);
            fail(format_args!("call {number}: delete: {code} {errors:?}; {left}"))
        }
    }
}

/// The processes that are left, and what each waits for.
fn stuck(rig: &Rig) -> String {
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

fn launched(rig: &mut Rig, verb: &str, change: impl FnOnce(&mut Bundle)) -> Outcome {
    let mut bundle = waiting(rig)?;
    change(&mut bundle);
    launched_as(rig, verb, &bundle, &[], || Ok(()))
}

/// `between` is done before each.
fn launched_as(
    rig: &Rig,
    verb: &str,
    bundle: &Bundle,
    options: &[&str],
    between: impl Fn() -> Outcome,
) -> Outcome {
    let detach: &[&str] = if verb == "run" { &["--detach"] } else { &[] };
    let options = [detach, options].concat();
    swept(rig, || between().and_then(|()| rig.launch(verb, bundle, &options)))
}

fn add_hooks(bundle: &mut Bundle, program: &str) {
    for point in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let path = if point == "startContainer" { "/payload" } else { program };
        bundle.set(&format!("hooks.{point}[+]"), json!({"path": path, "args": (vec!["payload"])}));
    }
}

fn killed_at_each_call_of_create(rig: &mut Rig) -> Outcome {
    launched(rig, "create", |_| {})
}

fn killed_at_each_call_of_create_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    launched(rig, "create", |bundle| bundle.user_namespace(100_000))
}

/// Through an intermediate process.
fn killed_at_each_call_of_create_in_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = held_user(rig, &[])?;
    launched(rig, "create", |bundle| bundle.namespace("user", Some(&proc_path(pid, "user"))))
}

fn killed_at_each_call_of_create_with_hooks(rig: &mut Rig) -> Outcome {
    let program = rig.suite.payload.display().to_string();
    launched(rig, "create", |bundle| add_hooks(bundle, &program))
}

fn killed_at_each_call_of_create_with_a_terminal(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting(rig)?;
    bundle.set("process.terminal", true);
    let console = UnixListener::bind(rig.dir.join("console"))?;
    let path = rig.dir.join("console").display().to_string();
    launched_as(rig, "create", &bundle, &["--console-socket", &path], || drain(&console))
}

fn killed_at_each_call_of_create_with_a_listener(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting(rig)?;
    let agent = UnixListener::bind(rig.dir.join("agent"))?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_NOTIFY", &["munlockall"])]));
    bundle.set("linux.seccomp.listenerPath", rig.dir.join("agent").display().to_string());
    launched_as(rig, "create", &bundle, &[], || drain(&agent))
}

/// Takes all connections that wait.
fn drain(socket: &UnixListener) -> Outcome {
    socket.set_nonblocking(true)?;
    while socket.accept().is_ok() {}
    Ok(())
}

fn killed_at_each_call_of_create_with_systemd(rig: &mut Rig) -> Outcome {
    let mut bundle = systemd::bundle(rig)?;
    bundle.verbs(&["wait", "1"]);
    launched_as(rig, "create", &bundle, &[], || Ok(()))
}

fn killed_at_each_call_of_run(rig: &mut Rig) -> Outcome {
    launched(rig, "run", |_| {})
}

fn killed_at_each_call_of_run_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    launched(rig, "run", |bundle| bundle.user_namespace(100_000))
}

fn killed_at_each_call_of_run_with_hooks(rig: &mut Rig) -> Outcome {
    let program = rig.suite.payload.display().to_string();
    launched(rig, "run", |bundle| add_hooks(bundle, &program))
}

/// A command on a container that is created, or was started.
fn on(rig: &mut Rig, started: bool, change: impl FnOnce(&mut Bundle), words: &[&str]) -> Outcome {
    let mut bundle = waiting(rig)?;
    change(&mut bundle);
    let mut container: Option<Running> = None;
    swept(rig, || {
        let mut running = rig.create(&bundle, &[])?;
        if started {
            rig.mote(&["start", &rig.id])?.success()?;
            running.lines.until("waiting=1")?;
        }
        container = Some(running);
        Ok(rig.command(words))
    })
}

fn killed_at_each_call_of_start(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, false, |_| {}, &["start", &id])
}

fn killed_at_each_call_of_start_with_hooks(rig: &mut Rig) -> Outcome {
    let (id, program) = (rig.id.clone(), rig.suite.payload.display().to_string());
    on(rig, false, |bundle| add_hooks(bundle, &program), &["start", &id])
}

fn killed_at_each_call_of_exec(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |_| {}, &["exec", &id, "/payload"])
}

fn killed_at_each_call_of_exec_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |bundle| bundle.user_namespace(100_000), &["exec", &id, "/payload"])
}

fn killed_at_each_call_of_update(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |_| {}, &["update", "--pids-limit", "20", &id])
}

fn killed_at_each_call_of_pause(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |_| {}, &["pause", &id])
}

fn killed_at_each_call_of_kill(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |_| {}, &["kill", "--all", &id, "KILL"])
}

fn killed_at_each_call_of_mounts(rig: &mut Rig) -> Outcome {
    let (id, list) = (rig.id.clone(), rig.dir.join("mounts.json"));
    fs::write(&list, r#"[{"destination": "/added", "type": "tmpfs", "source": "tmpfs"}]"#)?;
    on(rig, true, |_| {}, &["mounts", "add", &id, &list.display().to_string()])
}

fn killed_at_each_call_of_delete(rig: &mut Rig) -> Outcome {
    let id = rig.id.clone();
    on(rig, true, |_| {}, &["delete", "--force", &id])
}

fn killed_at_each_call_of_delete_with_hooks(rig: &mut Rig) -> Outcome {
    let (id, program) = (rig.id.clone(), rig.suite.payload.display().to_string());
    on(rig, false, |bundle| add_hooks(bundle, &program), &["delete", &id])
}
