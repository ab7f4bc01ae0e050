//! Telling systemd that a container is ready (sd_notify(3)).

use std::io::Error;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::{self, LIMIT, Lines, Running, start};
use crate::rig::{Runtime, Rig};
use crate::sys::trace::{interrupted_when, receives_with_sigio};
use crate::{json, sys, tests};

tests![
    "commands",
    ready_is_told_by_start,
    ready_is_told_by_a_detached_run,
    ready_is_told_by_a_foreground_run,
    ready_while_sigio_is_pending,
    ready_alone_is_told,
    ready_at_an_abstract_address,
    ready_never,
    notify_socket_missing_is_rejected,
];

/// In systemd's place.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(rig: &Rig) -> Outcome<Manager> {
        if !rig.is(Runtime::Mote) {
            return skip_allowed("runc and crun say it in other words");
        }
        let path = rig.dir.join("manager").display().to_string();
        Ok(Manager { socket: UnixDatagram::bind(&path)?, path })
    }

    fn command(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// What comes: mote waits for an answer to the last.
    fn hear(&self) -> Outcome<(String, Vec<std::os::fd::OwnedFd>)> {
        holds("something is told", sys::readable(&self.socket, LIMIT)?)?;
        let (fds, text) = sys::receive_fds::receive(&self.socket)?;
        Ok((text, fds))
    }

    /// The container is ready, and the command ends when that is known.
    fn ready(&self, rig: &Rig, running: &mut Running) -> Outcome {
        same("the notification", self.hear()?.0, format!("READY=1\nMAINPID={}\n", rig.pid()?))?;
        let (text, barrier) = self.hear()?;
        same("the barrier", (text.as_str(), barrier.len()), ("BARRIER=1", 1))?;
        holds("the command waits", !running.has_ended()?)?;
        drop(barrier);
        let (status, errors) = running.status()?;
        same("the command", (status.code(), errors.as_str()), (Some(0), ""))
    }
}

const READY: [&str; 6] = ["tell", "STATUS=soon", "tell", "MAINPID=1\nREADY=1\nFDSTORE=1", "wait", "1"];

fn ready_is_told_by_start(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&READY);
    let mut created = manager.command(rig.launch("create", &bundle, &[])?);
    let mut created = start(&mut created, false)?;
    same("create", created.status()?.0.code(), Some(0))?;
    let mut started = start(&mut manager.command(rig.command(&["start", &rig.id])), false)?;
    manager.ready(rig, &mut started)?;
    rig.delete()?;
    rig.nothing_left()
}

/// By a user who is not root.
fn ready_is_told_by_a_detached_run(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    bundle.verbs(&READY);
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), false)?;
    manager.ready(rig, &mut running)?;
    rig.delete()
}

/// Which goes on to attend the container.
fn ready_is_told_by_a_foreground_run(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[&READY[..], &["exit", "7"]].concat());
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &[])?), false)?;
    running.lines.until("waiting=1")?;
    same("the notification", manager.hear()?.0, format!("READY=1\nMAINPID={}\n", rig.pid()?))?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    same("the command", running.status()?.0.code(), Some(7))?;
    rig.nothing_left()
}

/// A message that arrives between SIGIO and the read of READY=1 raises SIGIO once more: it is not forwarded to the
/// container, which is sent the signal after it.
fn ready_while_sigio_is_pending(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1", "exit", "7"]);
    let (reader, writer) = std::io::pipe()?;
    let mut lines = Lines::new(reader);
    let mut run = manager.command(rig.launch("run", &bundle, &[])?);
    run.stdin(Stdio::null()).stdout(writer);
    let socket = rig.state.join(&rig.id).join("notify/notify.sock");
    let later = libc::SIGRTMIN();
    let send_both = |pid| {
        lines.until("waiting=1").map_err(|_| Error::other("it does not wait"))?;
        UnixDatagram::unbound()?.send_to(b"READY=1", &socket)?;
        // Pending signals are taken in the order of their numbers.
        sys::kill(pid, later)
    };
    let (status, came) = interrupted_when(&mut run, receives_with_sigio, send_both)?;
    drop(run);
    holds("it received", came)?;
    same("the signal", lines.all()?, format!("signal={later}\n"))?;
    same("the command", libc::WEXITSTATUS(status), 7)?;
    same("the notification", &manager.hear()?.0[..8], "READY=1\n")?;
    rig.nothing_left()
}

/// Where it is told from, what it says besides, and what it had of its own.
fn ready_alone_is_told(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "NOTIFY_SOCKET=/of/the/image");
    bundle.verbs(&[
        "env",
        "mkdir",
        "/run/notify/more",
        "tell",
        "NOTREADY=1\n READY=1\nREADY=11",
        "wait",
        "1",
    ]);
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &[])?), false)?;
    let inside = running.lines.until("waiting=1")?;
    same("the variable", inside.all("env:NOTIFY_SOCKET"), vec!["/run/notify/notify.sock"])?;
    inside.is("mkdir:/run/notify/more", "!EROFS")?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    running.status()?;
    holds("nothing is told", !sys::readable(&manager.socket, std::time::Duration::ZERO)?)
}

fn ready_at_an_abstract_address(rig: &mut Rig) -> Outcome {
    let mut manager = Manager::new(rig)?;
    let name = format!("mote/{}", rig.id);
    manager.socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    manager.path = format!("@{name}");
    let mut bundle = rig.bundle()?;
    bundle.verbs(&READY);
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), false)?;
    manager.ready(rig, &mut running)?;
    rig.delete()
}

/// It ends without a word: nobody waits for ever.
fn ready_never(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "nothing"]);
    command::run(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), "")?.success()?;
    holds("nothing is told", !sys::readable(&manager.socket, std::time::Duration::ZERO)?)?;
    rig.delete()
}

fn notify_socket_missing_is_rejected(rig: &mut Rig) -> Outcome {
    let mut manager = Manager::new(rig)?;
    manager.path = "/none/of/this".into();
    let mut bundle = rig.bundle()?;
    bundle.verbs(&READY);
    let output = command::run(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), "")?;
    output.failure(&["NOTIFY_SOCKET /none/of/this", "no such file"])?;
    rig.nothing_left()
}
