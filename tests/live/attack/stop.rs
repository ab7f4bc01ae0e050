//! A container's process that has been stopped, as its neighbour in a pid namespace can do: whoever looks at the
//! container, or takes it away, does not wait for it. And a set-up that takes long is seen for what it is.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use super::asks_mote_alone;
use crate::check::{Outcome, contains, fail, holds, same};
use crate::command::{LIMIT, start};
use crate::json;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "attack",
    stopped_before_its_start,
    stopped_before_its_start_and_looked_at_often,
    stopped_while_it_is_started,
    set_up_that_takes_long,
];

/// A created container whose process has been stopped.
fn stopped(rig: &Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    rig.create(&bundle, &[])?;
    Ok(sys::kill(rig.pid()?, libc::SIGSTOP)?)
}

fn stopped_before_its_start(rig: &mut Rig) -> Outcome {
    stopped(rig)?;
    for _ in 0..5 {
        rig.status_is("created")?;
        contains("the list", &rig.mote(&["list"])?.success()?.stdout, &rig.id)?;
    }
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    rig.delete()?;
    rig.nothing_left()
}

/// More often than those can be counted who came to it unheard.
fn stopped_before_its_start_and_looked_at_often(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
    stopped(rig)?;
    for _ in 0..200 {
        rig.status_is("created")?;
    }
    rig.delete()?;
    rig.nothing_left()
}

fn stopped_while_it_is_started(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
    stopped(rig)?;
    let socket = rig.state.join(&rig.id).join("start");
    let mut starting = start(&mut rig.command(&["start", &rig.id]), false)?;
    let begin = Instant::now();
    // Only the removal of the start socket shows that it has connected.
    while socket.exists() && begin.elapsed() < LIMIT {
        std::thread::yield_now();
    }
    holds("it waits for an answer", !socket.exists() && !starting.has_ended()?)?;
    rig.status_is("running")?;
    rig.failure(&rig.mote(&["start", &rig.id])?, &[&rig.id])?;
    rig.delete()?;
    let (status, errors) = starting.status()?;
    same("exit code of start", status.code(), Some(1))?;
    contains("the error", &errors, "its process died before its program ran")?;
    rig.nothing_left()
}

/// By a hook that waits for somebody to write to a pipe.
fn set_up_that_takes_long(rig: &mut Rig) -> Outcome {
    asks_mote_alone(rig)?;
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
            // Nobody reads it yet, and that somebody does is told by nothing else.
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
