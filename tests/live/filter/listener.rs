//! SCMP_ACT_NOTIFY: a seccomp agent receives the listener fd and the state of the process, and answers its calls
//! (seccomp_unotify(2)).

use super::{Agent, answer_all};
use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::start;
use crate::json;
use crate::json::Json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::sys::seccomp::{Answer, Notification};
use crate::tests;

tests![
    "filter",
    listener_of_run,
    listener_of_run_with_no_new_privileges,
    listener_of_create,
    listener_of_start,
    listener_of_exec,
    listener_of_exec_with_no_new_privileges,
    listener_in_a_user_namespace,
    listener_with_a_pids_limit_of_1,
    listener_by_annotation,
    listener_by_the_environment,
    listener_by_the_environment_of_start,
    listener_of_a_start_container_hook,
    listener_without_notify,
    listener_of_a_program_in_an_annotation,
    every_call_notifies,
    every_call_notifies_with_no_new_privileges,
    every_call_notifies_from_create_on,
    no_call_before_execve_is_needed,
];

/// munlockall returns 4711, getegid fails; other calls are executed.
fn decide(notification: &Notification) -> Answer {
    match libc::c_long::from(notification.call) {
        libc::SYS_munlockall => Answer::Value(4711),
        libc::SYS_getegid => Answer::Error(libc::EXDEV),
        _ => Answer::Continue,
    }
}

const VERBS: [&str; 4] = ["syscall", "munlockall", "syscall", "getegid"];

fn bundle_with_agent(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    set_agent(&mut bundle, agent, no_new_privileges);
    Ok(bundle)
}

fn set_agent(bundle: &mut Bundle, agent: &Agent, no_new_privileges: bool) {
    bundle.set("process.noNewPrivileges", no_new_privileges);
    bundle.set("linux.seccomp", agent.profile(&["munlockall", "getegid"]));
    bundle.set("linux.seccomp.listenerMetadata", "of \"mine\"");
    bundle.set("annotations.colour", "blue");
    bundle.verbs(&VERBS);
}

/// Checks the state that is sent: the PID of the process, and that of the container init.
fn state_is(rig: &Rig, state: &Json, pid: i64, status: &str, container: i64) -> Outcome {
    if rig.is(Runtime::Mote) {
        same("ociVersion", state.at("ociVersion").text(), "0.2.0")?;
        same("the state's ociVersion", state.at("state").at("ociVersion").text(), "1.0.2")?;
        same("status", state.at("state").at("status").text(), status)?;
    }
    same("fds", state.at("fds"), &Json::from(vec!["seccompFd"]))?;
    same("pid", state.at("pid").int(), pid)?;
    same("metadata", state.at("metadata").text(), "of \"mine\"")?;
    let state = state.at("state");
    same("id", state.at("id").text(), rig.id.as_str())?;
    same("the state's pid", state.at("pid").int(), container)?;
    holds("the state has the bundle", state.at("bundle").text().starts_with(&rig.dir.display().to_string()))?;
    same("annotation", state.at("annotations").at("colour").text(), "blue")
}

/// Runs a program whose calls are answered by an agent.
pub fn of_run(rig: &mut Rig, mut bundle: Bundle, no_new_privileges: bool) -> Outcome {
    let agent = Agent::new(rig)?;
    set_agent(&mut bundle, &agent, no_new_privileges);
    let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
    let (listener, state) = agent.take()?;
    let pid = state.at("pid").int();
    holds("a pid", pid > 0)?;
    state_is(rig, &state, pid, "creating", pid)?;
    same("number of notifications", answer_all(&listener, decide)?.len(), 2)?;
    let inside = running.finish()?.success()?.report();
    inside.is("syscall:munlockall", "4711")?;
    inside.is("syscall:getegid", "!EXDEV")?;
    std::fs::remove_file(&agent.path)?;
    rig.nothing_left()
}

fn listener_of_run(rig: &mut Rig) -> Outcome {
    of_run(rig, rig.bundle()?, false)
}

fn listener_of_run_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    of_run(rig, rig.bundle()?, true)
}

/// With privileges, the filter is loaded before `start`: `create` sends the listener fd.
fn listener_of_create(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let bundle = bundle_with_agent(rig, &agent, false)?;
    let mut created = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let (listener, state) = agent.take()?;
    same("create", created.status()?.0.code(), Some(0))?;
    let pid = i64::from(rig.pid()?);
    state_is(rig, &state, pid, "creating", pid)?;
    rig.mote(&["start", &rig.id])?.success()?;
    same("number of notifications", answer_all(&listener, decide)?.len(), 2)?;
    Report::parse(&created.lines.all()?).is("syscall:munlockall", "4711")?;
    rig.delete()?;
    rig.nothing_left()
}

fn listener_of_start(rig: &mut Rig) -> Outcome {
    of_start(rig, rig.bundle()?)
}

/// With no_new_privs, the filter is loaded after `start`: `start` sends the listener fd.
pub fn of_start(rig: &mut Rig, mut bundle: Bundle) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun send it from create");
    }
    let agent = Agent::new(rig)?;
    set_agent(&mut bundle, &agent, true);
    let mut created = rig.create(&bundle, &[])?;
    let pid = i64::from(rig.pid()?);
    let mut started = start(&mut rig.command(&["start", &rig.id]), false)?;
    let (listener, state) = agent.take()?;
    state_is(rig, &state, pid, "created", pid)?;
    same("number of notifications", answer_all(&listener, decide)?.len(), 2)?;
    let (status, errors) = started.status()?;
    same("start", (status.code(), errors.as_str()), (Some(0), ""))?;
    Report::parse(&created.lines.all()?).is("syscall:munlockall", "4711")?;
    rig.delete()?;
    rig.nothing_left()
}

fn exec_with_agent(rig: &mut Rig, options: &[&str]) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun sends its own PID");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, false)?;
    bundle.verbs(&["wait", "1"]);
    let mut created = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let (first, state) = agent.take()?;
    let container = state.at("pid").int();
    same("create", created.status()?.0.code(), Some(0))?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("waiting=1")?;

    let words = [&["exec"], options, &[rig.id.as_str(), "/payload"], &VERBS].concat();
    let running = start(&mut rig.command(&words), false)?;
    let (listener, state) = agent.take()?;
    let pid = state.at("pid").int();
    holds("another process", pid > 0 && pid != container)?;
    state_is(rig, &state, pid, "running", container)?;
    same("number of notifications", answer_all(&listener, decide)?.len(), 2)?;
    let inside = running.finish()?.success()?.report();
    inside.is("syscall:munlockall", "4711")?;
    inside.is("syscall:getegid", "!EXDEV")?;
    drop(first);
    rig.delete()?;
    rig.nothing_left()
}

fn listener_of_exec(rig: &mut Rig) -> Outcome {
    exec_with_agent(rig, &[])
}

fn listener_of_exec_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    exec_with_agent(rig, &["--no-new-privs"])
}

fn answered(rig: &mut Rig, bundle: &Bundle, agent: &Agent) -> Outcome<Vec<i32>> {
    let running = start(&mut rig.launch("run", bundle, &[])?, false)?;
    let (listener, _) = agent.take()?;
    let calls = answer_all(&listener, decide)?;
    running.finish()?.success()?.report().is("syscall:munlockall", "4711")?;
    rig.nothing_left()?;
    Ok(calls)
}

fn listener_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let mut bundle = bundle_with_agent(rig, &agent, no_new_privileges)?;
        bundle.user_namespace(100_000);
        answered(rig, &bundle, &agent)?;
        std::fs::remove_file(&agent.path)?;
    }
    Ok(())
}

/// mote needs no second process or thread in the container.
fn listener_with_a_pids_limit_of_1(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun needs a second process");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    bundle.set("linux.resources.pids.limit", 1i64);
    answered(rig, &bundle, &agent).map(drop)
}

fn listener_by_annotation(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such annotation");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    bundle.remove("linux.seccomp.listenerPath");
    bundle.remove("linux.seccomp.listenerMetadata");
    bundle.set("annotations.\"run.oci.seccomp.receiver\"", agent.path.as_str());
    answered(rig, &bundle, &agent).map(drop)
}

fn listener_by_the_environment(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such variable");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    bundle.remove("linux.seccomp.listenerPath");
    bundle.remove("linux.seccomp.listenerMetadata");
    let mut command = rig.launch("run", &bundle, &[])?;
    let running = start(command.env("RUN_OCI_SECCOMP_RECEIVER", &agent.path), false)?;
    let (listener, _) = agent.take()?;
    answer_all(&listener, decide)?;
    running.finish()?.success()?.report().is("syscall:munlockall", "4711")
}

fn listener_by_the_environment_of_start(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun send it from create");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    bundle.remove("linux.seccomp.listenerPath");
    bundle.remove("linux.seccomp.listenerMetadata");
    let mut command = rig.launch("create", &bundle, &[])?;
    let mut created = start(command.env("RUN_OCI_SECCOMP_RECEIVER", &agent.path), false)?;
    same("create", created.status()?.0.code(), Some(0))?;
    let mut command = rig.command(&["start", &rig.id]);
    let mut started = start(command.env("RUN_OCI_SECCOMP_RECEIVER", &agent.path), false)?;
    let (listener, _) = agent.take()?;
    answer_all(&listener, decide)?;
    same("start", started.status()?.0.code(), Some(0))?;
    Report::parse(&created.lines.all()?).is("syscall:munlockall", "4711")?;
    rig.delete()
}

/// A startContainer hook has the filter of the program.
fn listener_of_a_start_container_hook(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let mut bundle = bundle_with_agent(rig, &agent, no_new_privileges)?;
        bundle.file("/log", "")?;
        let words = ["payload", "into", "/log", "syscall", "munlockall"];
        bundle.set("hooks.startContainer", json!([{"path": "/payload", "args": (words.to_vec())}]));
        let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        let (listener, _) = agent.take()?;
        same("number of notifications", answer_all(&listener, decide)?.len(), 3)?;
        running.finish()?.success()?.report().is("syscall:munlockall", "4711")?;
        let state = Report::parse(&std::fs::read_to_string(bundle.host_path("log"))?);
        state.is("syscall:munlockall", "4711")?;
        std::fs::remove_file(&agent.path)?;
    }
    rig.nothing_left()
}

/// As by crun. Without an agent, see `listener_error.rs`.
fn listener_without_notify(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc sends no listener fd");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    bundle.set("linux.seccomp.syscalls[0].action", "SCMP_ACT_ERRNO");
    let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
    let (listener, _) = agent.take()?;
    same("number of notifications", answer_all(&listener, decide)?.len(), 0)?;
    running.finish()?.success()?.report().is("syscall:munlockall", "!EPERM")
}

/// `ld [0]; jeq #152, 0, 1; ret USER_NOTIF; ret ALLOW`, where 152 is munlockall on x86_64.
fn listener_of_a_program_in_an_annotation(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) || !cfg!(target_arch = "x86_64") {
        return skip_allowed("runc has no such annotation, and the program is for x86_64");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    let program = "IAAAAAAAAAAVAAABmAAAAAYAAAAAAMB/BgAAAAAA/38=";
    bundle.set("annotations.\"run.oci.seccomp_bpf_data\"", program);
    same("calls with a notification", answered(rig, &bundle, &agent)?, vec![libc::SYS_munlockall as i32])
}

/// With a notification for every call of mote and the program. crun once blocked on its own sendmsg(2); runc rejects
/// write(2).
fn notify_every_call(rig: &mut Rig, no_new_privileges: bool) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc rejects it");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, no_new_privileges)?;
    bundle.set("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY");
    bundle.remove("linux.seccomp.syscalls");
    let calls = answered(rig, &bundle, &agent)?;
    let first = calls.iter().position(|call| libc::c_long::from(*call) == libc::SYS_execve);
    // After the filter is loaded, only execve is called, unless capabilities are dropped then.
    holds("execve has a notification", first.is_some())?;
    holds("execve is the first", first == Some(0) || !no_new_privileges || !rig.is(Runtime::Mote))
}

fn every_call_notifies(rig: &mut Rig) -> Outcome {
    notify_every_call(rig, false)
}

fn every_call_notifies_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    notify_every_call(rig, true)
}

/// Including the calls of the process that waits for `start`.
fn every_call_notifies_from_create_on(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc rejects it");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, false)?;
    bundle.set("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY");
    bundle.remove("linux.seccomp.syscalls");
    let mut created = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let (listener, _) = agent.take()?;
    let answering = std::thread::spawn(move || answer_all(&listener, decide).is_ok());
    same("create", created.status()?.0.code(), Some(0))?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    Report::parse(&created.lines.all()?).is("syscall:munlockall", "4711")?;
    holds("all notifications are answered", answering.join().unwrap_or(false))?;
    rig.delete()?;
    rig.nothing_left()
}

fn no_call_before_execve_is_needed(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make calls of their own");
    }
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, true)?;
    let names = ["sendmsg", "sendto", "recvmsg", "recvfrom", "poll", "ppoll", "wait4", "waitid", "close"];
    bundle.set("linux.seccomp.syscalls[+]", super::rule("SCMP_ACT_KILL_PROCESS", &names));
    answered(rig, &bundle, &agent).map(drop)
}
