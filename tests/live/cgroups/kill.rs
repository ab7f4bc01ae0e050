//! Killing all processes of a container; without a pid namespace they are found by the cgroup.

use std::os::fd::OwnedFd;

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, same, skip_allowed};
use crate::cleanup::processes;
use crate::command::{LIMIT, Running};
use crate::rig::{Rig, Runtime};
use crate::{sys, tests_in_layouts};

tests_in_layouts![
    kill_all_reaches_every_process,
    kill_all_without_a_pid_namespace,
    kill_all_with_another_signal,
    kill_signals_only_the_init,
    kill_without_a_pid_namespace_reaches_every_process,
    kill_of_processes_that_outlive_the_init,
    kill_of_a_paused_container,
    delete_kills_processes_that_outlive_the_init,
    delete_by_force_without_a_pid_namespace,
    run_kills_processes_that_outlive_the_init,
];

/// Runs a bundle until the payload prints this line; returns pidfds of all processes.
fn started(rig: &Rig, bundle: &Bundle, word: &str) -> Outcome<(Running, Vec<OwnedFd>)> {
    let mut created = rig.create(bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until(word)?;
    let pids = processes("MOTE_LIVE", &rig.marker);
    let fds = pids.into_iter().map(sys::pidfd).collect::<std::io::Result<_>>()?;
    Ok((created, fds))
}

fn all_exit(processes: &[OwnedFd]) -> Outcome {
    for pidfd in processes {
        holds("each process exits", sys::readable(pidfd, LIMIT)?)?;
    }
    Ok(())
}

fn kill_all(rig: &Rig, bundle: &Bundle) -> Outcome {
    let (_running, processes) = started(rig, bundle, "waiting=1")?;
    same("processes", processes.len(), 4)?;
    rig.mote(&["kill", "--all", &rig.id, "KILL"])?.success()?;
    all_exit(&processes)?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn kill_all_reaches_every_process(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fork", "3", "wait", "1"]);
    kill_all(rig, &bundle)
}

fn kill_all_without_a_pid_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "wait", "1"]);
    kill_all(rig, &bundle)
}

/// Every process receives the signal: the children wait for any signal and then exit.
fn kill_all_with_another_signal(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["signal_children", "3", "wait", "1"]);
    let (mut running, processes) = started(rig, &bundle, "waiting=1")?;
    same("processes", processes.len(), 4)?;
    rig.mote(&["kill", "--all", &rig.id, "USR2"])?.success()?;
    let output = running.lines.all()?;
    same("number of signals received", output.matches("signal=12\n").count(), 4)?;
    all_exit(&processes)?;
    rig.delete()
}

fn kill_signals_only_the_init(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["signal_children", "2", "wait", "1"]);
    let (mut running, processes) = started(rig, &bundle, "waiting=1")?;
    let init = sys::pidfd(rig.pid()?)?;
    rig.mote(&["kill", &rig.id, "USR2"])?.success()?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=12")?;
    holds("init exits", sys::readable(&init, LIMIT)?)?;
    let alive = |pidfd: &&OwnedFd| !sys::readable(*pidfd, std::time::Duration::ZERO).unwrap_or(true);
    same("processes still running", processes.iter().filter(alive).count(), 2)?;
    rig.delete()?;
    all_exit(&processes)
}

/// An init and three other processes, which no pid namespace kills together with it.
fn without_a_pid_namespace(rig: &Rig) -> Outcome<(Running, Vec<OwnedFd>)> {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "wait", "1"]);
    let (running, processes) = started(rig, &bundle, "waiting=1")?;
    same("processes", processes.len(), 4)?;
    Ok((running, processes))
}

/// SIGKILL does so without --all.
fn kill_without_a_pid_namespace_reaches_every_process(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun kills only the init");
    }
    let (_running, processes) = without_a_pid_namespace(rig)?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    all_exit(&processes)?;
    rig.status_is("stopped")?;
    // Now no process is left.
    rig.failure(&rig.mote(&["kill", &rig.id, "KILL"])?, &["container not running"])?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn kill_of_processes_that_outlive_the_init(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun kills only the init");
    }
    let (_running, processes) = without_a_pid_namespace(rig)?;
    rig.kill_init()?;
    rig.status_is("stopped")?;
    let list = rig.mote(&["ps", "--format", "json", &rig.id])?.success()?.stdout;
    same("processes left", list.split(',').count(), 3)?;
    // After the init has exited, only SIGKILL is accepted.
    rig.failure(&rig.mote(&["kill", &rig.id, "TERM"])?, &["container not running"])?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    all_exit(&processes)?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn kill_of_a_paused_container(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("with crun it stays paused on v1");
    }
    for namespace in [true, false] {
        let mut bundle = rig.bundle()?;
        if !namespace {
            bundle.without_namespace("pid");
        }
        bundle.verbs(&["fork", "3", "wait", "1"]);
        let (_running, processes) = started(rig, &bundle, "waiting=1")?;
        rig.mote(&["pause", &rig.id])?.success()?;
        rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
        all_exit(&processes)?;
        rig.status_is("stopped")?;
        rig.delete()?;
    }
    Ok(())
}

fn delete_kills_processes_that_outlive_the_init(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "say", "ready", "wait", "1"]);
    let (_running, processes) = started(rig, &bundle, "waiting=1")?;
    rig.kill_init()?;
    rig.status_is("stopped")?;
    rig.mote(&["delete", &rig.id])?.success()?;
    all_exit(&processes)
}

fn delete_by_force_without_a_pid_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "wait", "1"]);
    let (_running, processes) = started(rig, &bundle, "waiting=1")?;
    rig.delete()?;
    all_exit(&processes)
}

fn run_kills_processes_that_outlive_the_init(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.without_namespace("pid");
    bundle.verbs(&["fork", "3", "say", "ready", "exit", "6"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("say=ready")?;
    let (status, errors) = running.status()?;
    same("exit code", status.code(), Some(6))?;
    same("the standard error", errors.as_str(), "")?;
    let left = processes("MOTE_LIVE", &rig.marker);
    let ended = |pid: &i32| sys::pidfd(*pid).and_then(|pidfd| sys::readable(&pidfd, LIMIT)).unwrap_or(true);
    match left.iter().find(|pid| !ended(pid)) {
        Some(pid) => fail(format_args!("process {pid} still runs")),
        None => Ok(()),
    }
}
