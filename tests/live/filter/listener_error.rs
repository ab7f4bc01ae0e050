//! A listener fd that cannot be sent: the program does not run, and nothing is left.

use super::Agent;
use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::start;
use crate::json::Json;
use crate::rig::{DeniedCalls, Rig, Runtime};
use crate::{sys, tests};

tests![
    "filter",
    no_agent,
    no_agent_at_create,
    no_agent_at_start,
    no_agent_at_exec,
    no_listener_path,
    connection_closed,
    connection_closed_at_start,
    mote_killed_while_sending,
    mote_killed_while_sending_at_start,
    userfaultfd_denied,
    pidfd_getfd_denied,
    without_notify_no_agent_is_needed,
];

/// A container whose program creates a file.
fn bundle(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("checks mote's order");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", no_new_privileges);
    // Every call of the process, even exit, would need an answer.
    let mut section = agent.profile(&["munlockall"]);
    section.set("defaultAction", "SCMP_ACT_NOTIFY");
    bundle.set("linux.seccomp", section);
    bundle.verbs(&["create", "/tmp/trace"]);
    Ok(bundle)
}

/// The same with a state larger than the socket buffer: mote blocks in the middle of the message.
fn with_large_state(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    let mut bundle = bundle(rig, agent, no_new_privileges)?;
    bundle.set("annotations.long", "more than a socket holds".repeat(1 << 16));
    Ok(bundle)
}

fn has_run(bundle: &Bundle) -> bool {
    bundle.host_path("/tmp/trace").exists()
}

fn missing_agent(rig: &Rig) -> Outcome<Agent> {
    let agent = Agent::new(rig)?;
    std::fs::remove_file(&agent.path)?;
    Ok(agent)
}

fn no_agent(rig: &mut Rig) -> Outcome {
    let agent = missing_agent(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    // Detected before anything is set up.
    bundle.set("hooks.prestart[+].path", "/bin/false");
    let why = format!("linux.seccomp.listenerPath {}: connect: no such file", agent.path);
    rig.rejected(&bundle, &[&why])?;
    holds("the program did not run", !has_run(&bundle))
}

fn no_agent_at_create(rig: &mut Rig) -> Outcome {
    let agent = missing_agent(rig)?;
    let bundle = bundle(rig, &agent, false)?;
    let created = start(&mut rig.launch("create", &bundle, &[])?, false)?.finish()?;
    created.failure(&["linux.seccomp.listenerPath", "connect: no such file"])?;
    rig.nothing_left()
}

/// With no_new_privs the filter is loaded by `start`.
fn no_agent_at_start(rig: &mut Rig) -> Outcome {
    let agent = missing_agent(rig)?;
    let bundle = bundle(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    rig.mote(&["start", &rig.id])?.failure(&["linux.seccomp.listenerPath", "connect: no such file"])?;
    holds("the process exits", sys::readable(&pidfd, crate::command::LIMIT)?)?;
    rig.status_is("stopped")?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

fn no_agent_at_exec(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let mut bundle = bundle(rig, &agent, false)?;
    bundle.set("linux.seccomp.defaultAction", "SCMP_ACT_ALLOW");
    bundle.verbs(&["wait", "1"]);
    let mut created = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let (_listener, _) = agent.take()?;
    same("create", created.status()?.0.code(), Some(0))?;
    rig.mote(&["start", &rig.id])?.success()?;
    std::fs::remove_file(&agent.path)?;
    let output = rig.mote(&["exec", &rig.id, "/payload", "create", "/tmp/trace"])?;
    same("exit code", output.code(), 255)?;
    holds("the reason", output.stderr.contains("linux.seccomp.listenerPath"))?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

fn no_listener_path(rig: &mut Rig) -> Outcome {
    let agent = missing_agent(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    bundle.remove("linux.seccomp.listenerPath");
    rig.rejected(&bundle, &["linux.seccomp: defaultAction: SCMP_ACT_NOTIFY needs listenerPath"])
}

/// The agent closes the connection without reading.
fn connection_closed(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let bundle = with_large_state(rig, &agent, no_new_privileges)?;
        let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        drop(agent.accept()?);
        running.finish()?.failure(&["linux.seccomp.listenerPath", "send"])?;
        holds("the program did not run", !has_run(&bundle))?;
        std::fs::remove_file(&agent.path)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn connection_closed_at_start(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let bundle = with_large_state(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let running = start(&mut rig.command(&["start", &rig.id]), false)?;
    drop(agent.accept()?);
    running.finish()?.failure(&["linux.seccomp.listenerPath", "send"])?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

/// mote is killed while it sends: the container's process already has its filter, and exits because there is no agent.
fn mote_killed_while_sending(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let bundle = with_large_state(rig, &agent, no_new_privileges)?;
        let mut running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        let stream = agent.accept()?;
        holds("a message arrives", sys::readable(&stream, crate::command::LIMIT)?)?;
        // `state` does not show the container yet.
        let status = std::fs::read_to_string(rig.state.join(&rig.id).join("status"))?;
        let pidfd = sys::pidfd(i32::try_from(Json::parse(&status)?.at("pid").int())?)?;
        running.signal(libc::SIGKILL)?;
        running.status()?;
        holds("the process exits", sys::readable(&pidfd, crate::command::LIMIT)?)?;
        holds("the program did not run", !has_run(&bundle))?;
        std::fs::remove_file(&agent.path)?;
        rig.delete()?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn mote_killed_while_sending_at_start(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let bundle = with_large_state(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    let mut running = start(&mut rig.command(&["start", &rig.id]), false)?;
    let stream = agent.accept()?;
    holds("a message arrives", sys::readable(&stream, crate::command::LIMIT)?)?;
    running.signal(libc::SIGKILL)?;
    running.status()?;
    holds("the process exits", sys::readable(&pidfd, crate::command::LIMIT)?)?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

fn without(rig: &mut Rig, denied: DeniedCalls, word: &str) -> Outcome {
    rig.denied = denied;
    let agent = Agent::new(rig)?;
    let bundle = bundle(rig, &agent, true)?;
    rig.rejected(&bundle, &[word])?;
    holds("the program did not run", !has_run(&bundle))
}

fn userfaultfd_denied(rig: &mut Rig) -> Outcome {
    without(rig, &[("userfaultfd", libc::ENOSYS)], "linux.seccomp: SCMP_ACT_NOTIFY: userfaultfd")
}

fn pidfd_getfd_denied(rig: &mut Rig) -> Outcome {
    without(rig, &[("pidfd_getfd", libc::EPERM)], "linux.seccomp: pidfd_getfd")
}

/// "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
fn without_notify_no_agent_is_needed(rig: &mut Rig) -> Outcome {
    let agent = missing_agent(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    bundle.set("linux.seccomp.defaultAction", "SCMP_ACT_ALLOW");
    bundle.set("linux.seccomp.syscalls[0].action", "SCMP_ACT_ERRNO");
    rig.report(&mut bundle, &["syscall", "munlockall"])?.is("syscall:munlockall", "!EPERM")
}
