//! `kill`: signals by all names and numbers, for containers in each state (runtime.md, "Kill"; kill(2)).

use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::LIMIT;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "commands",
    kill_sends_term_by_default,
    kill_by_name_and_number,
    kill_by_name_in_lower_case,
    kill_by_realtime_name,
    kill_with_an_unknown_signal_is_rejected,
    kill_with_signal_0,
    kill_of_an_unknown_id_is_rejected,
    kill_of_a_stopped_container_is_rejected,
    kill_of_a_created_container,
    kill_of_a_created_container_by_other_signals,
    kill_takes_the_signal_after_the_id,
];

/// Sends each signal to a container, and checks the number that it receives.
fn send(rig: &Rig, signals: &[(&str, i32)]) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", &signals.len().to_string()]);
    let mut running = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    for (word, number) in signals {
        rig.mote(&["kill", &rig.id, word])?.success()?;
        same(word, running.lines.next()?, format!("signal={number}"))?;
    }
    rig.delete()
}

fn kill_sends_term_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut running = rig.waiting(&mut bundle)?;
    rig.mote(&["kill", &rig.id])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=15")?;
    rig.delete()
}

fn kill_by_name_and_number(rig: &mut Rig) -> Outcome {
    let words =
        [("TERM", 15), ("SIGTERM", 15), ("15", 15), ("HUP", 1), ("SIGUSR1", 10), ("USR2", 12), ("64", 64)];
    send(rig, &words)
}

fn kill_by_name_in_lower_case(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun accepts only upper case");
    }
    send(rig, &[("term", 15), ("sigterm", 15), ("SigUsr1", 10)])
}

fn kill_by_realtime_name(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun number them differently");
    }
    send(rig, &[("SIGRTMIN", 34), ("RTMIN+3", 37), ("SIGRTMAX", 64), ("RTMAX-1", 63)])
}

fn kill_with_an_unknown_signal_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    for word in ["MOON", "SIGMOON", "-1", "65", "1000", "", "TERMX"] {
        let output = rig.mote(&["kill", &rig.id, "--", word])?;
        holds(&format!("{word:?} is rejected"), output.code() != 0)?;
        if rig.is(Runtime::Mote) {
            output.failure(&[word])?;
        }
    }
    rig.status_is("running")?;
    rig.delete()
}

/// Sends no signal; fails if there is no process (kill(2)).
fn kill_with_signal_0(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    rig.mote(&["kill", &rig.id, "0"])?.success()?;
    rig.mote(&["kill", "--all", &rig.id, "0"])?.success()?;
    rig.status_is("running")?;
    rig.kill_init()?;
    rig.failure(&rig.mote(&["kill", &rig.id, "0"])?, &["container not running"])?;
    rig.delete()
}

fn kill_of_an_unknown_id_is_rejected(rig: &mut Rig) -> Outcome {
    rig.failure(&rig.mote(&["kill", &rig.id, "TERM"])?, &[&rig.id, "does not exist"])
}

/// Engines match on this message.
fn kill_of_a_stopped_container_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    rig.kill_init()?;
    rig.failure(&rig.mote(&["kill", &rig.id, "KILL"])?, &["container not running"])?;
    rig.delete()
}

fn kill_of_a_created_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    holds("the init exits", sys::readable(&pidfd, LIMIT)?)?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

/// The init has no handler yet: signals that terminate by default do so, also in a pid namespace, whose init otherwise
/// receives only signals that it handles.
fn kill_of_a_created_container_by_other_signals(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have handlers of their own");
    }
    for (namespace, signal) in [(true, "TERM"), (true, "INT"), (true, "RTMIN"), (false, "TERM")] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["say", "ran"]);
        if !namespace {
            bundle.without_namespace("pid");
        }
        let mut created = rig.create(&bundle, &[])?;
        let pidfd = sys::pidfd(rig.pid()?)?;
        for harmless in ["0", "CONT", "WINCH", "CHLD", "URG"] {
            rig.mote(&["kill", &rig.id, harmless])?.success()?;
        }
        rig.status_is("created")?;
        rig.mote(&["kill", &rig.id, signal])?.success()?;
        holds(&format!("the init exits on {signal}"), sys::readable(&pidfd, LIMIT)?)?;
        rig.status_is("stopped")?;
        rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
        same("the program's output", created.lines.all()?.as_str(), "")?;
        rig.mote(&["delete", &rig.id])?.success()?;
    }
    Ok(())
}

/// As called by engines: options, id, signal number.
fn kill_takes_the_signal_after_the_id(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut running = rig.waiting(&mut bundle)?;
    rig.mote(&["kill", "--all", &rig.id, "10"])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()
}
