//! What is left when the runtime is killed at any moment, and when two of it want the same thing at once.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, holds, same, skip_allowed};
use crate::command::{LIMIT, Output, Running, run, start};
use crate::json::Json;
use crate::rig::{Runtime, Rig};
use crate::tests;

tests![
    "crash",
    alone: true,
    killed_create,
    killed_run,
    killed_start,
    killed_delete,
    init_that_dies_before_start,
    state_directory_without_a_state,
    two_creates_of_one_id,
    two_starts_of_one_container,
    two_deletes_of_one_container,
    state_during_create_and_delete,
    kill_during_delete,
    changes_one_after_another,
    fifty_starts_of_one_container,
    fifty_commands_on_one_container,
    fifty_containers,
];

/// Long enough to meet every step of the runtime, few enough to be done in seconds.
const ROUNDS: u32 = 60;

/// How long a command takes here, undisturbed: the best of three.
fn duration(mut command: impl FnMut() -> Outcome<Output>) -> Outcome<Duration> {
    let mut best = LIMIT;
    for _ in 0..3 {
        let begin = Instant::now();
        command()?.success()?;
        best = best.min(begin.elapsed());
    }
    Ok(best)
}

/// Starts the command and kills it after this time. Watching the clock, not sleeping: a sleep comes back when
/// the scheduler likes, and the steps to be hit are some microseconds long.
fn killed_after(command: &mut Command, delay: Duration) -> Outcome {
    let mut running = start(command, false)?;
    let begin = Instant::now();
    while begin.elapsed() < delay {
        std::hint::spin_loop();
    }
    // It may have ended by itself.
    let _ = running.signal(libc::SIGKILL);
    running.status()?;
    Ok(())
}

/// `state` may know the container or not, but never stumbles; then `delete --force` takes everything away.
fn cleaned(rig: &Rig, round: u32) -> Outcome {
    let told = |what: &str, output: &Output| fail(format_args!("round {round}: {what}: {:?}", output.stderr));
    let state = rig.mote(&["state", &rig.id])?;
    if state.code() == 0 {
        let status = Json::parse(&state.stdout)?.at("status").text().to_string();
        let known = ["creating", "created", "running", "paused", "stopped"].contains(&status.as_str());
        holds(&format!("round {round}: status {status:?}"), known)?;
    } else if rig.is(Runtime::Mote) && (state.code() != 1 || !state.stderr.contains("does not exist")) {
        return told("state", &state);
    }
    let delete = rig.mote(&["delete", "--force", &rig.id])?;
    if delete.code() != 0 || (rig.is(Runtime::Mote) && !delete.stderr.is_empty()) {
        return told("delete", &delete);
    }
    match rig.nothing_left() {
        Err(crate::check::Stop::Fail(why)) => fail(format_args!("round {round}: {why}")),
        other => other,
    }
}

/// Kills a command at moments spread evenly over a little more than its time.
fn swept(rig: &Rig, whole: Duration, mut prepare: impl FnMut() -> Outcome<Command>) -> Outcome {
    for round in 0..ROUNDS {
        let delay = whole.mul_f64(1.2 * f64::from(round) / f64::from(ROUNDS));
        killed_after(&mut prepare()?, delay)?;
        cleaned(rig, round)?;
    }
    Ok(())
}

fn waiting_bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    Ok(bundle)
}

fn killed_create(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    let whole = duration(|| {
        let output = run(&mut rig.launch("create", &bundle, &[])?, "")?;
        rig.delete()?;
        Ok(output)
    })?;
    swept(rig, whole, || rig.launch("create", &bundle, &[]))
}

fn killed_run(rig: &mut Rig) -> Outcome {
    let mut bundle = waiting_bundle(rig)?;
    let mut quick = rig.bundle()?;
    quick.verbs(&[]);
    let whole = duration(|| rig.run(&quick, &[]))?;
    bundle.without_namespace("network");
    swept(rig, whole, || rig.launch("run", &bundle, &[]))
}

fn killed_start(rig: &mut Rig) -> Outcome {
    let bundle = waiting_bundle(rig)?;
    let whole = duration(|| {
        rig.create(&bundle, &[])?;
        let begin = rig.mote(&["start", &rig.id])?;
        rig.delete()?;
        Ok(begin)
    })?;
    let mut created: Option<Running> = None;
    swept(rig, whole, || {
        created = Some(rig.create(&bundle, &[])?);
        Ok(rig.command(&["start", &rig.id]))
    })
}

fn killed_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let whole = duration(|| {
        rig.waiting(&mut bundle)?;
        rig.mote(&["delete", "--force", &rig.id])
    })?;
    swept(rig, whole, || {
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

/// What is there when the runtime was killed just after it had taken the name.
fn state_directory_without_a_state(rig: &mut Rig) -> Outcome {
    std::fs::create_dir_all(rig.state.join(&rig.id))?;
    rig.failure(&rig.mote(&["state", &rig.id])?, &[&rig.id])?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
    holds("list goes on", rig.mote(&["list", "-q"])?.code() == 0)?;
    same("exit code", rig.mote(&["delete", "--force", &rig.id])?.code(), 0)?;
    rig.nothing_left()?;
    rig.report(&mut waiting_bundle(rig)?, &["say", "free"])?.is("say", "free")
}

/// Both at once; gives what became of each.
fn race(one: &mut Command, two: &mut Command) -> Outcome<[(i32, String); 2]> {
    let (mut first, mut second) = (start(one, false)?, start(two, false)?);
    let end = |running: &mut Running| -> Outcome<(i32, String)> {
        let (status, errors) = running.status()?;
        Ok((status.code().unwrap_or(-1), errors))
    };
    Ok([end(&mut first)?, end(&mut second)?])
}

/// Exactly one wins; the other says why it does not.
fn one_wins(rig: &Rig, round: u32, ends: &[(i32, String); 2], word: &str) -> Outcome {
    let winners = ends.iter().filter(|(code, _)| *code == 0).count();
    if winners != 1 {
        return fail(format_args!("round {round}: {winners} win: {ends:?}"));
    }
    for (code, errors) in ends.iter().filter(|(code, _)| *code != 0) {
        same(&format!("round {round}: exit code"), *code, 1)?;
        if rig.is(Runtime::Mote) {
            contains("the loser's word", errors, word)?;
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
        let ends = race(one, two)?;
        one_wins(rig, round, &ends, "already exists")?;
        // The loser has taken nothing from the winner.
        rig.status_is("created")?;
        rig.mote(&["start", &rig.id])?.success()?;
        holds("the winner's cgroup", !crate::cleanup::cgroups(&rig.cgroup).is_empty())?;
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
        let ends = race(one, two)?;
        one_wins(rig, round, &ends, "running")?;
        let said = created.lines.until("waiting=1")?;
        same("the standard output", said.all("say"), vec!["once"])?;
        rig.delete()?;
    }
    Ok(())
}

/// By force, as two clean-ups would: both are content, and nothing is left.
fn two_deletes_of_one_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for round in 0..30 {
        let _running = rig.waiting(&mut bundle)?;
        let words = ["delete", "--force", rig.id.as_str()];
        let ends = race(&mut rig.command(&words), &mut rig.command(&words))?;
        for (code, errors) in &ends {
            same(&format!("round {round}: exit code, {errors:?}"), *code, 0)?;
        }
        rig.nothing_left()?;
    }
    Ok(())
}

/// Asked again and again while the container comes and goes, `state` never sees half of one.
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

/// A signal for a container that is being taken away: delivered or refused, in one line.
fn kill_during_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for _ in 0..20 {
        let _running = rig.waiting(&mut bundle)?;
        let words = ["delete", "--force", rig.id.as_str()];
        let kill = ["kill", rig.id.as_str(), "TERM"];
        let [deleted, killed] = race(&mut rig.command(&words), &mut rig.command(&kill))?;
        same("exit code of delete", deleted.0, 0)?;
        holds("exit code of kill", killed.0 <= 1)?;
        holds(&format!("one line: {killed:?}"), killed.1.lines().count() <= 1 || !rig.is(Runtime::Mote))?;
        rig.nothing_left()?;
    }
    Ok(())
}

/// Who changes a container waits until nobody else does.
fn changes_one_after_another(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have other locks");
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

/// Nothing tells it but the kernel's list, which is asked until then.
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

/// All at once; gives what became of each.
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
        contains("the loser's word", errors, "cannot start container")?;
        same("lines", errors.lines().count(), 1)?;
    }
    same("the standard output", created.lines.until("waiting=1")?.all("say"), vec!["once"])?;
    rig.delete()
}

/// Whatever comes first: each does what it is for, or says in one line why not, and then nothing is left.
fn fifty_commands_on_one_container(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun say more than one line");
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
            holds("a line for what fails", !errors.is_empty() || matches!(code, 0 | 137))?;
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
