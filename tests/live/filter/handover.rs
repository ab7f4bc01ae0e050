//! A listener that cannot be handed over: no program runs, and nothing is left.

use super::Agent;
use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::start;
use crate::json::Json;
use crate::rig::{Runtime, DeniedCalls, Rig};
use crate::{sys, tests};

tests![
    "filter",
    nobody_listens,
    nobody_listens_at_create,
    nobody_listens_at_start,
    nobody_listens_at_exec,
    nobody_is_named,
    hung_up,
    hung_up_at_start,
    mote_is_killed_meanwhile,
    mote_is_killed_meanwhile_at_start,
    userfaultfd_refused,
    pidfd_getfd_refused,
    without_notify_nobody_is_asked,
];

/// A container whose program leaves a trace.
fn bundle(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("about mote's ways");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", no_new_privileges);
    // Whatever it does, also to end, somebody would have to answer.
    let mut section = agent.profile(&["munlockall"]);
    section.set("defaultAction", "SCMP_ACT_NOTIFY");
    bundle.set("linux.seccomp", section);
    bundle.verbs(&["create", "/tmp/trace"]);
    Ok(bundle)
}

/// The same, of which there is more to say than a socket holds: mote waits with its message half sent.
fn with_much_to_say(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    let mut bundle = bundle(rig, agent, no_new_privileges)?;
    bundle.set("annotations.long", "more than a socket holds".repeat(1 << 16));
    Ok(bundle)
}

fn has_run(bundle: &Bundle) -> bool {
    bundle.host_path("/tmp/trace").exists()
}

fn gone(rig: &Rig) -> Outcome<Agent> {
    let agent = Agent::new(rig)?;
    std::fs::remove_file(&agent.path)?;
    Ok(agent)
}

fn nobody_listens(rig: &mut Rig) -> Outcome {
    let agent = gone(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    // It is found out before anything is done.
    bundle.set("hooks.prestart[+].path", "/bin/false");
    let why = format!("linux.seccomp.listenerPath {}: connect: no such file", agent.path);
    rig.rejected(&bundle, &[&why])?;
    holds("the program did not run", !has_run(&bundle))
}

fn nobody_listens_at_create(rig: &mut Rig) -> Outcome {
    let agent = gone(rig)?;
    let bundle = bundle(rig, &agent, false)?;
    let created = start(&mut rig.launch("create", &bundle, &[])?, false)?.finish()?;
    created.failure(&["linux.seccomp.listenerPath", "connect: no such file"])?;
    rig.nothing_left()
}

/// With no_new_privs the filter is `start`'s business.
fn nobody_listens_at_start(rig: &mut Rig) -> Outcome {
    let agent = gone(rig)?;
    let bundle = bundle(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    rig.mote(&["start", &rig.id])?.failure(&["linux.seccomp.listenerPath", "connect: no such file"])?;
    holds("the process ends", sys::readable(&pidfd, crate::command::LIMIT)?)?;
    rig.status_is("stopped")?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

fn nobody_listens_at_exec(rig: &mut Rig) -> Outcome {
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
    holds("its reason", output.stderr.contains("linux.seccomp.listenerPath"))?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

fn nobody_is_named(rig: &mut Rig) -> Outcome {
    let agent = gone(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    bundle.remove("linux.seccomp.listenerPath");
    rig.rejected(&bundle, &["linux.seccomp: defaultAction: SCMP_ACT_NOTIFY needs listenerPath"])
}

/// Whoever listens takes nothing.
fn hung_up(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let bundle = with_much_to_say(rig, &agent, no_new_privileges)?;
        let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        drop(agent.accept()?);
        running.finish()?.failure(&["linux.seccomp.listenerPath", "send"])?;
        holds("the program did not run", !has_run(&bundle))?;
        std::fs::remove_file(&agent.path)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn hung_up_at_start(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let bundle = with_much_to_say(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let running = start(&mut rig.command(&["start", &rig.id]), false)?;
    drop(agent.accept()?);
    running.finish()?.failure(&["linux.seccomp.listenerPath", "send"])?;
    holds("the program did not run", !has_run(&bundle))?;
    rig.delete()?;
    rig.nothing_left()
}

/// The container's process has its filter, and does not go on without anybody to answer.
fn mote_is_killed_meanwhile(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let bundle = with_much_to_say(rig, &agent, no_new_privileges)?;
        let mut running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        let stream = agent.accept()?;
        holds("a message arrives", sys::readable(&stream, crate::command::LIMIT)?)?;
        // It is not created yet for who asks.
        let record = std::fs::read_to_string(rig.state.join(&rig.id).join("status"))?;
        let pidfd = sys::pidfd(i32::try_from(Json::parse(&record)?.at("pid").int())?)?;
        running.signal(libc::SIGKILL)?;
        running.status()?;
        holds("the process ends", sys::readable(&pidfd, crate::command::LIMIT)?)?;
        holds("the program did not run", !has_run(&bundle))?;
        std::fs::remove_file(&agent.path)?;
        rig.delete()?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn mote_is_killed_meanwhile_at_start(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let bundle = with_much_to_say(rig, &agent, true)?;
    rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    let mut running = start(&mut rig.command(&["start", &rig.id]), false)?;
    let stream = agent.accept()?;
    holds("a message arrives", sys::readable(&stream, crate::command::LIMIT)?)?;
    running.signal(libc::SIGKILL)?;
    running.status()?;
    holds("the process ends", sys::readable(&pidfd, crate::command::LIMIT)?)?;
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

fn userfaultfd_refused(rig: &mut Rig) -> Outcome {
    without(rig, &[("userfaultfd", libc::ENOSYS)], "linux.seccomp: SCMP_ACT_NOTIFY: userfaultfd")
}

fn pidfd_getfd_refused(rig: &mut Rig) -> Outcome {
    without(rig, &[("pidfd_getfd", libc::EPERM)], "linux.seccomp: pidfd_getfd")
}

/// "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
fn without_notify_nobody_is_asked(rig: &mut Rig) -> Outcome {
    let agent = gone(rig)?;
    let mut bundle = bundle(rig, &agent, true)?;
    bundle.set("linux.seccomp.defaultAction", "SCMP_ACT_ALLOW");
    bundle.set("linux.seccomp.syscalls[0].action", "SCMP_ACT_ERRNO");
    rig.report(&mut bundle, &["ask", "munlockall"])?.is("ask:munlockall", "!EPERM")
}
