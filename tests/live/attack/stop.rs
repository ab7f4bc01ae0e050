//! A container process that is stopped by SIGSTOP, which its neighbours in a shared pid namespace can send: commands
//! that look at the container, or delete it, do not wait for it. And a container whose creation takes long has the
//! status `creating`.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use super::only_mote;
use crate::check::{Outcome, contains, fail, holds, same};
use crate::command::{LIMIT, start};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "attack",
    stopped_container_can_be_listed_and_deleted,
    stopped_container_can_be_listed_many_times,
    stopped_container_killed_during_start,
    slow_creation_has_status_creating,
];

/// A created container whose init is stopped.
fn stopped(rig: &Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    rig.create(&bundle, &[])?;
    Ok(sys::kill(rig.pid()?, libc::SIGSTOP)?)
}

fn stopped_container_can_be_listed_and_deleted(rig: &mut Rig) -> Outcome {
    stopped(rig)?;
    for _ in 0..5 {
        rig.status_is("created")?;
        contains("the list", &rig.mote(&["list"])?.success()?.stdout, &rig.id)?;
    }
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    rig.delete()?;
    rig.nothing_left()
}

/// More often than the backlog of the start socket has room for.
fn stopped_container_can_be_listed_many_times(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    stopped(rig)?;
    for _ in 0..200 {
        rig.status_is("created")?;
    }
    rig.delete()?;
    rig.nothing_left()
}

fn stopped_container_killed_during_start(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    stopped(rig)?;
    let socket = rig.state.join(&rig.id).join("start");
    let mut starting = start(&mut rig.command(&["start", &rig.id]), false)?;
    let begin = Instant::now();
    // Nothing but the removal of the start socket shows that `start` has connected.
    while socket.exists() && begin.elapsed() < LIMIT {
        std::thread::yield_now();
    }
    holds("start waits for the container", !socket.exists() && !starting.has_ended()?)?;
    rig.status_is("running")?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
    rig.delete()?;
    let (status, errors) = starting.status()?;
    same("exit code of start", status.code(), Some(1))?;
    contains("the error", &errors, "its process died before its program ran")?;
    rig.nothing_left()
}

/// Creation waits in a hook that opens a FIFO.
fn slow_creation_has_status_creating(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let pipe = rig.dir.join("pipe");
    sys::mknod(&pipe, libc::S_IFIFO | 0o600, 0, 0)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let (program, path) = (rig.suite.payload.display().to_string(), pipe.display().to_string());
    let args = vec!["payload", "read", &path];
    let env = vec![format!("MOTE_LIVE_HOST={}", rig.marker)];
    let hook = json!({"path": program, "args": args, "env": env, "timeout": 20i64});
    bundle.set("hooks.createRuntime[+]", hook);
    let mut creating = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let begin = Instant::now();
    let writer = loop {
        match File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&pipe) {
            Ok(writer) => break writer,
            // There is no event for another process opening the FIFO, so this polls.
            Err(_) if begin.elapsed() < LIMIT && !creating.has_ended()? => std::thread::yield_now(),
            Err(error) => return fail(format_args!("no hook: {error}: {}", creating.status()?.1)),
        }
    };
    for _ in 0..3 {
        rig.status_is("creating")?;
        contains("the list", &rig.mote(&["list"])?.success()?.stdout, "creating")?;
    }
    drop(writer);
    let (status, errors) = creating.status()?;
    same(&format!("exit code, {errors:?}"), status.code(), Some(0))?;
    rig.status_is("created")?;
    rig.delete()?;
    rig.nothing_left()
}
