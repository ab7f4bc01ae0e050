//! The runtime killed after delays of all lengths, and several runtimes on one container at the same time.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::command::{LIMIT, Output, Running, run, start};
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "crash",
    alone: true,
    create_killed,
    run_killed,
    start_killed,
    delete_killed,
    init_that_dies_before_start,
    state_directory_without_a_state,
    two_creates_of_one_id,
    two_starts_of_one_container,
    two_deletes_of_one_container,
    state_during_create_and_delete,
    kill_during_delete,
    changes_are_serialized,
    fifty_starts_of_one_container,
    fifty_commands_on_one_container,
    fifty_containers,
];

/// Enough to hit every step of the runtime, in a few seconds.
const ROUNDS: u32 = 60;

/// The duration of a command that is not killed: the shortest of three.
fn duration(mut command: impl FnMut() -> Outcome<Output>) -> Outcome<Duration> {
    let mut best = LIMIT;
    for _ in 0..3 {
        let begin = Instant::now();
        command()?.success()?;
        best = best.min(begin.elapsed());
    }
    Ok(best)
}

/// Starts the command and kills it after this time. Polls the clock instead of sleeping: the scheduler resumes a
/// sleeper too late, and the steps to be hit take some microseconds.
fn killed_after(command: &mut Command, delay: Duration) -> Outcome {
    let mut running = start(command, false)?;
    let begin = Instant::now();
    while begin.elapsed() < delay {
        std::hint::spin_loop();
    }
    // It may have exited already.
    let _ = running.signal(libc::SIGKILL);
    running.status()?;
    Ok(())
}

/// Checks that `state` either shows the container or reports that it does not exist, and that `delete --force` then
/// leaves nothing behind.
fn clean_up_succeeds(rig: &Rig, round: u32) -> Outcome {
    let failure =
        |what: &str, output: &Output| fail(format_args!("round {round}: {what}: {:?}", output.stderr));
    let state = rig.mote(&["state", &rig.id])?;
    if state.code() == 0 {
        let status = Json::parse(&state.stdout)?.at("status").text().to_string();
        let known = ["creating", "created", "running", "paused", "stopped"].contains(&status.as_str());
        holds(&format!("round {round}: status {status:?}"), known)?;
    } else if rig.is(Runtime::Mote) && (state.code() != 1 || !state.stderr.contains("does not exist")) {
        return failure("state", &state);
    }
    let delete = rig.mote(&["delete", "--force", &rig.id])?;
    if delete.code() != 0 || (rig.is(Runtime::Mote) && !delete.stderr.is_empty()) {
        return failure("delete", &delete);
    }
    rig.nothing_left_after(format_args!("round {round}"))
}

/// Kills a command after delays spread evenly over a little more than its duration.
fn killed_after_each_delay(
    rig: &Rig,
    duration_of_command: Duration,
    mut prepare: impl FnMut() -> Outcome<Command>,
) -> Outcome {
    for round in 0..ROUNDS {
        let delay = duration_of_command.mul_f64(1.2 * f64::from(round) / f64::from(ROUNDS));
        killed_after(&mut prepare()?, delay)?;
        clean_up_succeeds(rig, round)?;
    }
    Ok(())
}

fn waiting_bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

fn create_killed(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    let duration_of_command = duration(|| {
        let output = run(&mut rig.launch("create", &bundle, &[])?, "")?;
        rig.delete()?;
        Ok(output)
    })?;
    killed_after_each_delay(rig, duration_of_command, || rig.launch("create", &bundle, &[]))
}

fn run_killed(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting_bundle(rig)?;
    let mut quick = rig.bundle()?;
    quick.verbs(&[]);
    let duration_of_command = duration(|| rig.run(&quick, &[]))?;
    bundle.without_namespace("network");
    killed_after_each_delay(rig, duration_of_command, || rig.launch("run", &bundle, &[]))
}

fn start_killed(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    let duration_of_command = duration(|| {
        rig.create(&bundle, &[])?;
        let begin = rig.mote(&["start", &rig.id])?;
        rig.delete()?;
        Ok(begin)
    })?;
    let mut created: Option<Running> = None;
    killed_after_each_delay(rig, duration_of_command, || {
        created = Some(rig.create(&bundle, &[])?);
        Ok(rig.command(&["start", &rig.id]))
    })
}

fn delete_killed(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let duration_of_command = duration(|| {
        rig.waiting(&mut bundle)?;
        rig.mote(&["delete", "--force", &rig.id])
    })?;
    killed_after_each_delay(rig, duration_of_command, || {
        rig.waiting(&mut bundle)?;
        Ok(rig.command(&["delete", "--force", &rig.id]))
    })
}

fn init_that_dies_before_start(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    let _created = rig.create(&bundle, &[])?;
    rig.kill_init()?;
    rig.status_is("stopped")?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
    rig.mote(&["delete", &rig.id])?.success()?;
    rig.nothing_left()
}

/// As left by a runtime that was killed just after mkdir(2) of the state directory.
fn state_directory_without_a_state(rig: &mut Rig) -> Outcome {
    std::fs::create_dir_all(rig.state.join(&rig.id))?;
    rig.failure(&rig.mote(&["state", &rig.id])?, &[&rig.id])?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
    holds("list succeeds", rig.mote(&["list", "-q"])?.code() == 0)?;
    same("exit code", rig.mote(&["delete", "--force", &rig.id])?.code(), 0)?;
    rig.nothing_left()?;
    rig.report(&mut waiting_bundle(rig)?, &["say", "free"])?.is("say", "free")
}

/// Runs both commands at the same time and returns the exit code and standard error of each.
fn run_both(one: &mut Command, two: &mut Command) -> Outcome<[(i32, String); 2]> {
    let (mut first, mut second) = (start(one, false)?, start(two, false)?);
    let end = |running: &mut Running| -> Outcome<(i32, String)> {
        let (status, errors) = running.status()?;
        Ok((status.code().unwrap_or(-1), errors))
    };
    Ok([end(&mut first)?, end(&mut second)?])
}

/// Checks that exactly one command succeeds, and that the other one reports why it failed.
fn one_succeeds(rig: &Rig, round: u32, ends: &[(i32, String); 2], word: &str) -> Outcome {
    let winners = ends.iter().filter(|(code, _)| *code == 0).count();
    if winners != 1 {
        return fail(format_args!("round {round}: {winners} succeeded: {ends:?}"));
    }
    for (code, errors) in ends.iter().filter(|(code, _)| *code != 0) {
        same(&format!("round {round}: exit code"), *code, 1)?;
        if rig.is(Runtime::Mote) {
            contains("the error", errors, word)?;
            same("lines", errors.lines().count(), 1)?;
        }
    }
    Ok(())
}

fn two_creates_of_one_id(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    for round in 0..50 {
        let mut commands = [rig.launch("create", &bundle, &[])?, rig.launch("create", &bundle, &[])?];
        let [one, two] = &mut commands;
        let ends = run_both(one, two)?;
        one_succeeds(rig, round, &ends, "already exists")?;
        // The command that failed has removed nothing of the other one.
        rig.status_is("created")?;
        rig.mote(&["start", &rig.id])?.success()?;
        holds("the cgroup is left", !crate::cleanup::cgroups(&rig.cgroup).is_empty())?;
        rig.delete()?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn two_starts_of_one_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "once", "wait", "1"]);
    for round in 0..50 {
        let mut created = rig.create(&bundle, &[])?;
        let mut commands = [rig.command(&["start", &rig.id]), rig.command(&["start", &rig.id])];
        let [one, two] = &mut commands;
        let ends = run_both(one, two)?;
        one_succeeds(rig, round, &ends, "running")?;
        let report = created.lines.until("waiting=1")?;
        same("the standard output", report.all("say"), vec!["once"])?;
        rig.delete()?;
    }
    Ok(())
}

/// With --force, as two engines may do: both succeed, and nothing is left.
fn two_deletes_of_one_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for round in 0..30 {
        let _running = rig.waiting(&mut bundle)?;
        let words = ["delete", "--force", rig.id.as_str()];
        let ends = run_both(&mut rig.command(&words), &mut rig.command(&words))?;
        for (code, errors) in &ends {
            same(&format!("round {round}: exit code, {errors:?}"), *code, 0)?;
        }
        rig.nothing_left()?;
    }
    Ok(())
}

/// `state`, called repeatedly while the container is created and deleted, never shows an incomplete one.
fn state_during_create_and_delete(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    for round in 0..20 {
        let words: &[&str] = if round % 2 == 0 { &[] } else { &["delete", "--force", rig.id.as_str()] };
        let mut command =
            if words.is_empty() { rig.launch("create", &bundle, &[])? } else { rig.command(words) };
        let mut running = start(&mut command, false)?;
        while !running.has_ended()? {
            let state = rig.mote(&["state", &rig.id])?;
            if state.code() == 0 {
                Json::parse(&state.stdout)?;
            } else if rig.is(Runtime::Mote) {
                state.failure(&["does not exist"])?;
            }
        }
        same("exit code", running.status()?.0.code(), Some(0))?;
    }
    Ok(())
}

/// A signal for a container that is being deleted: delivered, or rejected with one line.
fn kill_during_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for _ in 0..20 {
        let _running = rig.waiting(&mut bundle)?;
        let words = ["delete", "--force", rig.id.as_str()];
        let kill = ["kill", rig.id.as_str(), "TERM"];
        let [deleted, killed] = run_both(&mut rig.command(&words), &mut rig.command(&kill))?;
        same("exit code of delete", deleted.0, 0)?;
        holds("exit code of kill", killed.0 <= 1)?;
        holds(&format!("one line: {killed:?}"), killed.1.lines().count() <= 1 || !rig.is(Runtime::Mote))?;
        rig.nothing_left()?;
    }
    Ok(())
}

/// A command that changes a container waits for the lock while another one holds it.
fn changes_are_serialized(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the locks of runc and crun differ");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let list = rig.dir.join("mounts.json");
    fs::write(&list, "[]")?;
    let (id, list) = (rig.id.clone(), list.display().to_string());
    let _created = rig.create(&bundle, &[])?;
    let changes: [&[&str]; 7] = [
        &["start", &id],
        &["pause", &id],
        &["resume", &id],
        &["update", "--pids-limit", "20", &id],
        &["mounts", "add", &id, &list],
        &["exec", &id, "/payload"],
        &["delete", "--force", &id],
    ];
    for words in changes {
        let lock = File::open(rig.state.join(&id))?;
        lock.lock()?;
        let mut running = start(&mut rig.command(words), false)?;
        holds(&format!("{words:?} waits"), waits_for_a_lock(&mut running)?)?;
        lock.unlock()?;
        let (status, errors) = running.status()?;
        same(&words.join(" "), (status.code(), errors.as_str()), (Some(0), ""))?;
    }
    rig.nothing_left()
}

/// Polls /proc/locks, as the kernel does not notify of waiters.
fn waits_for_a_lock(running: &mut Running) -> Outcome<bool> {
    let (pid, begin) = (running.pid().to_string(), Instant::now());
    while begin.elapsed() < LIMIT && !running.has_ended()? {
        let locks = fs::read_to_string("/proc/locks")?;
        let mut waiting = locks.lines().filter(|line| line.contains("-> FLOCK"));
        if waiting.any(|line| line.split_ascii_whitespace().any(|word| word == pid)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs all commands at the same time and returns the exit code and standard error of each.
fn all_at_once(commands: &mut [Command]) -> Outcome<Vec<(i32, String)>> {
    let started: Outcome<Vec<Running>> = commands.iter_mut().map(|command| start(command, false)).collect();
    let end = |mut running: Running| -> Outcome<(i32, String)> {
        let (status, errors) = running.status()?;
        Ok((status.code().unwrap_or(-1), errors))
    };
    started?.into_iter().map(end).collect()
}

fn fifty_starts_of_one_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "once", "wait", "1"]);
    let mut created = rig.create(&bundle, &[])?;
    let mut commands: Vec<_> = (0..50).map(|_| rig.command(&["start", &rig.id])).collect();
    let ends = all_at_once(&mut commands)?;
    same("winners", ends.iter().filter(|(code, _)| *code == 0).count(), 1)?;
    for (_, errors) in ends.iter().filter(|(code, _)| *code != 0) {
        contains("the error", errors, "cannot start container")?;
        same("lines", errors.lines().count(), 1)?;
    }
    same("the standard output", created.lines.until("waiting=1")?.all("say"), vec!["once"])?;
    rig.delete()
}

/// In any order: each command succeeds or prints one line of error, and then nothing is left.
fn fifty_commands_on_one_container(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun print more than one line");
    }
    let mut bundle = rig.bundle()?;
    for round in 0..4 {
        let _running = rig.waiting(&mut bundle)?;
        let id = rig.id.as_str();
        let kinds: [&[&str]; 8] = [
            &["exec", id, "/payload", "say", "here"],
            &["state", id],
            &["ps", "--format", "json", id],
            &["pause", id],
            &["resume", id],
            &["kill", id, "CONT"],
            &["list", "--format", "json"],
            &["start", id],
        ];
        let mut commands: Vec<_> = kinds.iter().cycle().take(49).map(|words| rig.command(words)).collect();
        commands.insert(20 + round, rig.command(&["delete", "--force", id]));
        for (code, errors) in all_at_once(&mut commands)? {
            holds(&format!("exit code {code}"), matches!(code, 0 | 1 | 137 | 255))?;
            holds(&format!("one line: {errors:?}"), errors.lines().count() <= 1)?;
            holds("a line for each failure", !errors.is_empty() || matches!(code, 0 | 137))?;
        }
        rig.nothing_left()?;
    }
    Ok(())
}

fn fifty_containers(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["exit", "3"]);
    bundle.remove("linux.cgroupsPath");
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let name = |number: i32| format!("{}-{number}", rig.id);
    let run = |number: i32| rig.command(&["run", "--bundle", &dir, &name(number)]);
    let ends = all_at_once(&mut (0..50).map(run).collect::<Vec<_>>())?;
    for end in ends {
        same("exit code and standard error", end, (3, String::new()))?;
    }
    same("the list", rig.mote(&["list", "--quiet"])?.success()?.stdout.as_str(), "")?;
    rig.nothing_left()
}
