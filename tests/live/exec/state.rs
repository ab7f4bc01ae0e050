//! `exec` in each state of the container: created, stopped, paused, being deleted; and concurrent `exec`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{command, container, exec, only_mote, rejected, report};
use crate::cgroups::{path_of, unified};
use crate::check::{Outcome, different, fail, holds, same, skip_allowed};
use crate::cleanup::cgroups;
use crate::command::{LIMIT, Running, start};
use crate::rig::{Layout, Rig, Runtime};
use crate::socket::{Socket, pid_of};
use crate::tests;

tests![
    "exec",
    into_a_created_container,
    into_a_stopped_container_is_rejected,
    into_a_paused_container_is_rejected,
    into_a_paused_container_is_rejected_v2,
    into_a_paused_container_waits,
    into_a_paused_container_waits_v2,
    during_delete,
    fifty_at_the_same_time,
    after_another_was_killed,
];

fn into_a_created_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "started"]);
    let mut created = rig.create(&bundle, &[])?;
    let inside = report(rig, &[], &["id", "uts", "fds"])?;
    inside.is("hostname", "inside")?;
    inside.is("fds", "0 1 2")?;
    rig.status_is("created")?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("say=started")?;
    rig.delete()
}

fn into_a_stopped_container_is_rejected(rig: &mut Rig) -> Outcome {
    container(rig)?;
    rig.kill_init()?;
    let output = exec(rig, &[], &["say", "ran"])?;
    same("the standard output", output.stdout.as_str(), "")?;
    if rig.is(Runtime::Mote) {
        rejected(&output, 255, &["not running", &rig.id])?;
    }
    different("exit code", output.code(), 0)?;
    rig.delete()
}

/// The file that freezes the container's cgroup, and the values to freeze and thaw it.
pub fn freezer(rig: &Rig) -> Outcome<(PathBuf, &'static str, &'static str)> {
    let files = [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")];
    let v1 = rig.layout == Layout::Machine;
    for (file, frozen, thawed) in if v1 { &files[..] } else { &files[1..] } {
        let found = cgroups(&rig.cgroup).into_iter().map(|path| path.join(file)).find(|path| path.exists());
        if let Some(path) = found {
            return Ok((path, frozen, thawed));
        }
    }
    skip_allowed("no freezer")
}

fn paused_is_rejected(rig: &mut Rig, layout: Layout) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(layout)?;
    container(rig)?;
    let (file, frozen, thawed) = freezer(rig)?;
    fs::write(&file, frozen)?;
    rig.status_is("paused")?;
    rejected(&exec(rig, &[], &["say", "ran"])?, 255, &["paused", &rig.id])?;
    fs::write(&file, thawed)?;
    report(rig, &[], &["say", "ran"])?.is("say", "ran")?;
    rig.delete()
}

fn into_a_paused_container_is_rejected(rig: &mut Rig) -> Outcome {
    paused_is_rejected(rig, Layout::Machine)
}

fn into_a_paused_container_is_rejected_v2(rig: &mut Rig) -> Outcome {
    paused_is_rejected(rig, Layout::V2)
}

/// With `--ignore-paused` the exec process is started, and runs when the container is resumed.
fn paused_waits(rig: &mut Rig, layout: Layout) -> Outcome {
    only_mote(rig)?;
    rig.set_layout(layout)?;
    container(rig)?;
    let (file, frozen, thawed) = freezer(rig)?;
    let socket = Socket::new(rig, "pidfd")?;
    fs::write(&file, frozen)?;
    let options = ["--ignore-paused", "--pidfd-socket", &socket.path];
    let mut running = start(&mut command(rig, &options, &["say", "ran"]), false)?;
    let (pidfd, _) = socket.receive()?;
    joined(rig, pid_of(&pidfd)?)?;
    holds("exec waits", !running.has_ended()?)?;
    // Other commands are not blocked.
    rig.status_is("paused")?;
    fs::write(&file, thawed)?;
    running.lines.until("say=ran")?;
    running.finish()?.success()?;
    rig.delete()
}

fn into_a_paused_container_waits(rig: &mut Rig) -> Outcome {
    paused_waits(rig, Layout::Machine)
}

fn into_a_paused_container_waits_v2(rig: &mut Rig) -> Outcome {
    paused_waits(rig, Layout::V2)
}

/// Waits until a process is in the container's cgroup of the hierarchy with the freezer.
pub fn joined(rig: &Rig, pid: i32) -> Outcome {
    let controller = if unified(rig) { "" } else { "freezer" };
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if path_of(pid, controller)?.ends_with(&rig.cgroup) {
            return Ok(());
        }
        // There is no event for a process that was moved, so this polls.
        std::thread::sleep(Duration::from_millis(1));
    }
    fail("the process does not join the cgroup")
}

/// Checks that the program ran, or was killed, or that `exec` failed with one line of error.
fn is_consistent(running: Running) -> Outcome {
    let output = running.finish()?;
    let lines = output.stderr.lines().count();
    match (output.code(), lines) {
        (0 | 137, 0) | (255, 1) => Ok(()),
        (code, _) => fail(format_args!("exit code {code}: {}", output.stderr)),
    }
}

fn during_delete(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    for round in 0..8 {
        let mut bundle = rig.bundle()?;
        if round % 4 == 3 {
            bundle.user_namespace(100_000);
        }
        rig.waiting(&mut bundle)?;
        let verbs: &[&str] = if round % 2 == 0 { &["wait", "1"] } else { &["say", "ran"] };
        let mut first = start(&mut rig.command(&["delete", "--force", &rig.id]), false);
        let execs = [(); 3].map(|()| start(&mut command(rig, &[], verbs), false));
        if round % 3 == 0 {
            first = start(&mut rig.command(&["delete", "--force", &rig.id]), false);
        }
        for exec in execs {
            is_consistent(exec?)?;
        }
        first?.finish()?.success()?;
        rig.delete()?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn fifty_at_the_same_time(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let words: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let started: Vec<Outcome<Running>> =
        words.iter().map(|word| start(&mut command(rig, &[], &["say", word, "exit", word]), false)).collect();
    for (word, running) in words.iter().zip(started) {
        let output = running?.finish()?;
        same("the standard error", output.stderr.as_str(), "")?;
        output.report().is("say", word)?;
        same("exit code", output.code().to_string(), word.as_str())?;
    }
    // Only the container init is left.
    for directory in cgroups(&rig.cgroup) {
        let members = fs::read_to_string(directory.join("cgroup.procs"))?;
        same("processes", members.lines().count(), 1)?;
    }
    rig.delete()
}

/// The killed process may have held a lock: the next `exec` does not wait for it.
fn after_another_was_killed(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut running = start(&mut command(rig, &[], &["wait", "1"]), false)?;
    running.lines.until("waiting=1")?;
    running.signal(libc::SIGKILL)?;
    running.status()?;
    report(rig, &[], &["say", "ran"])?.is("say", "ran")?;
    rig.delete()
}
