//! `state`: its JSON in each state of a container (runtime.md, "State").

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::start;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "commands",
    state_has_its_keys,
    state_has_the_version_of_the_configuration,
    state_of_a_created_container,
    state_is_available_only_when_created,
    state_of_a_running_container,
    state_of_a_stopped_container,
    state_of_an_unknown_id_is_rejected,
    state_has_the_annotations,
    state_has_absolute_paths,
    state_of_a_dead_init_is_stopped,
    state_of_a_reused_pid_is_stopped,
    state_of_a_reused_pid_by_its_start_time,
    state_has_the_time_of_creation,
];

fn state_has_its_keys(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("annotations.some", "thing");
    let _running = rig.waiting(&mut bundle)?;
    let state = rig.state()?;
    let wanted = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
    for key in wanted {
        holds(&format!("{key} is present: {state}"), *state.at(key) != Json::Null)?;
    }
    same("id", state.at("id").text(), rig.id.as_str())?;
    contains("ociVersion", state.at("ociVersion").text(), "1.")?;
    rig.delete()
}

/// Also if it does not quite have the form that the specification demands.
fn state_has_the_version_of_the_configuration(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun report their own");
    }
    for (given, reported) in [("1.0.2-dev", "1.0.2-dev"), ("1.0", "1.0"), ("v1.0.2", "1.0.2")] {
        let mut bundle = rig.bundle()?;
        bundle.set("ociVersion", given);
        let _running = rig.waiting(&mut bundle)?;
        same("ociVersion", rig.state()?.at("ociVersion").text(), reported)?;
        rig.delete()?;
    }
    Ok(())
}

fn state_of_a_created_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    let state = rig.state()?;
    same("status", state.at("status").text(), "created")?;
    let pid = i32::try_from(state.at("pid").int())?;
    let processes = crate::cleanup::processes("MOTE_LIVE", &rig.marker);
    // Before execve, the environment of the init may be empty or that of the runtime.
    let known = processes.is_empty() || processes.contains(&pid);
    holds(&format!("{pid} is one of {processes:?}"), known)?;
    sys::pidfd(pid)?;
    rig.delete()
}

/// An engine that polls `state` may call `start` as soon as it succeeds.
fn state_is_available_only_when_created(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    for _ in 0..10 {
        let mut creating = start(&mut rig.launch("create", &bundle, &[])?, false)?;
        let first = loop {
            let over = creating.has_ended()?;
            let output = rig.mote(&["state", &rig.id])?;
            if over || output.code() == 0 {
                break output;
            }
            contains("the error", &output.stderr, "not exist")?;
        };
        same("the first status", Json::parse(&first.success()?.stdout)?.at("status").text(), "created")?;
        same("exit code", creating.status()?.0.code(), Some(0))?;
        rig.delete()?;
    }
    Ok(())
}

fn state_of_a_running_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let state = rig.state()?;
    same("status", state.at("status").text(), "running")?;
    let pid = i32::try_from(state.at("pid").int())?;
    same("processes", crate::cleanup::processes("MOTE_LIVE", &rig.marker), vec![pid])?;
    rig.delete()
}

fn state_of_a_stopped_container(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    let mut created = rig.create(&bundle, &[])?;
    let pidfd = sys::pidfd(rig.pid()?)?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.all()?;
    holds("the init exits", sys::readable(&pidfd, crate::command::LIMIT)?)?;
    let state = rig.state()?;
    same("status", state.at("status").text(), "stopped")?;
    same("pid", state.at("pid").int(), 0)?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

fn state_of_an_unknown_id_is_rejected(rig: &mut Rig) -> Outcome {
    let output = rig.mote(&["state", &rig.id])?;
    same("the standard output", output.stdout.as_str(), "")?;
    rig.failure(&output, &[&rig.id, "does not exist"])
}

fn state_has_the_annotations(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let odd = "\"quoted\" \\ line\nbreak \u{e9}\u{1f600}";
    bundle.set("annotations.\"org.example.one\"", "1");
    bundle.set("annotations.\"org.example.two\"", odd);
    let _running = rig.waiting(&mut bundle)?;
    let state = rig.state()?;
    same("one", state.at("annotations").at("org.example.one").text(), "1")?;
    same("two", state.at("annotations").at("org.example.two").text(), odd)?;
    rig.delete()
}

fn state_has_absolute_paths(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    bundle.write()?;
    rig.mote(&["create", "--bundle", "bundle0", &rig.id])?.success()?;
    let state = rig.state()?;
    same("bundle", state.at("bundle").text(), bundle.dir.display().to_string().as_str())?;
    let root = bundle.dir.join("rootfs").display().to_string();
    same("rootfs", state.at("rootfs").text(), root.as_str())?;
    rig.delete()
}

fn state_of_a_dead_init_is_stopped(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let _created = rig.create(&bundle, &[])?;
    rig.kill_init()?;
    let state = rig.state()?;
    same("status", state.at("status").text(), "stopped")?;
    same("pid", state.at("pid").int(), 0)?;
    rig.mote(&["delete", &rig.id])?.success()?;
    Ok(())
}

/// A changed inode or start time in the status file simulates that the PID belongs to another process.
fn state_of_a_reused_pid_is_stopped(rig: &mut Rig) -> Outcome {
    // mote keeps the inode of the pidfd if the kernel has one per process, and the start time otherwise.
    let (name, keys): (_, &[&str]) = match rig.suite.kind {
        Runtime::Runc => ("state.json", &["init_process_start"]),
        Runtime::Crun => ("status", &["process-start-time"]),
        Runtime::Mote => ("status", &["process-inode", "process-start-time"]),
    };
    let mut bundle = rig.bundle()?;
    let running = rig.waiting(&mut bundle)?;
    let pid = rig.pid()?;
    let path = rig.state.join(&rig.id).join(name);
    let text = fs::read_to_string(&path)?;
    let status = Json::parse(&text)?;
    let known: Vec<i64> = keys.iter().map(|key| status.at(key).int()).filter(|value| *value > 0).collect();
    holds(&format!("{name} has one of {keys:?}"), !known.is_empty())?;
    let changed = known
        .iter()
        .fold(text.clone(), |text, value| text.replace(&value.to_string(), &(value + 1).to_string()));
    fs::write(&path, changed)?;
    rig.status_is("stopped")?;
    // SIGKILL would be sent to the cgroup, which such a process would not be in.
    rig.failure(&rig.mote(&["kill", &rig.id, "TERM"])?, &["container not running"])?;
    sys::kill(pid, 0)?;
    // The process with the PID is not that of the container, and must not be killed.
    fs::write(&path, text)?;
    rig.status_is("running")?;
    drop(running);
    rig.delete()
}

/// On kernels without inodes for pidfds, only the start time identifies the process.
fn state_of_a_reused_pid_by_its_start_time(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let path = rig.state.join(&rig.id).join("status");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let inode = Json::parse(&text).map_or(0, |status| status.at("process-inode").int());
    if inode <= 0 {
        rig.delete()?;
        return skip_allowed("mote keeps no inode on this kernel");
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", rig.pid()?))?;
    let fields = stat.rsplit(')').next().unwrap_or("");
    let start: i64 = fields.split_whitespace().nth(19).unwrap_or("").parse()?;
    let with = |time: i64| {
        let text = text.replace(&inode.to_string(), "0");
        let time = format!("\"process-start-time\":{time}");
        fs::write(&path, text.replace("\"process-start-time\":0", &time))
    };
    with(start + 1)?;
    rig.status_is("stopped")?;
    with(start)?;
    rig.status_is("running")?;
    rig.delete()
}

fn state_has_the_time_of_creation(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let state = rig.state()?;
    let created = state.at("created").text();
    // 2026-01-31T12:34:56.789Z
    let shape: String =
        created.chars().map(|letter| if letter.is_ascii_digit() { '9' } else { letter }).collect();
    holds(&format!("{created} is a time"), shape.starts_with("9999-99-99T99:99:99") && shape.ends_with('Z'))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() % 86400;
    let mut parts = created.get(11..19).unwrap_or("").split(':').map(|part| part.parse().unwrap_or(0u64));
    let seconds = parts.by_ref().fold(0, |sum, part| sum * 60 + part);
    holds(&format!("{created} is now"), (now + 86400 - seconds) % 86400 < 30)?;
    rig.delete()
}
