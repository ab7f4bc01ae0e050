//! Readiness notification to systemd (sd_notify(3)).

use std::io::Error;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

use crate::check::{Outcome, holds, same, skip_allowed};
use crate::command::{self, LIMIT, Lines, Running, start};
use crate::rig::{Rig, Runtime};
use crate::sys::trace::{interrupted_when, receives_with_sigio};
use crate::{json, sys, tests};

tests![
    "commands",
    start_forwards_ready,
    detached_run_forwards_ready,
    foreground_run_forwards_ready,
    ready_while_sigio_is_pending_is_forwarded,
    only_ready_is_forwarded,
    ready_is_forwarded_to_an_abstract_socket,
    start_succeeds_without_ready,
    notify_socket_missing_is_rejected,
];

/// The listener of NOTIFY_SOCKET, as systemd has it.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(rig: &Rig) -> Outcome<Manager> {
        if !rig.is(Runtime::Mote) {
            return skip_allowed("runc and crun send other messages");
        }
        let path = rig.dir.join("manager").display().to_string();
        Ok(Manager { socket: UnixDatagram::bind(&path)?, path })
    }

    fn command(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// Receives a message and its file descriptors.
    fn receive(&self) -> Outcome<(String, Vec<std::os::fd::OwnedFd>)> {
        holds("a message arrives", sys::readable(&self.socket, LIMIT)?)?;
        let (fds, text) = sys::unix_socket::receive(&self.socket)?;
        Ok((text, fds))
    }

    /// Checks READY=1 and MAINPID, and that the command exits only after the barrier is closed (sd_notify_barrier(3)).
    fn ready(&self, rig: &Rig, running: &mut Running) -> Outcome {
        same("the notification", self.receive()?.0, format!("READY=1\nMAINPID={}\n", rig.pid()?))?;
        let (text, barrier) = self.receive()?;
        same("the barrier", (text.as_str(), barrier.len()), ("BARRIER=1", 1))?;
        holds("the command waits", !running.has_ended()?)?;
        drop(barrier);
        let (status, errors) = running.status()?;
        same("the command", (status.code(), errors.as_str()), (Some(0), ""))
    }
}

const READY: [&str; 6] = ["notify", "STATUS=soon", "notify", "MAINPID=1\nREADY=1\nFDSTORE=1", "wait", "1"];

fn start_forwards_ready(rig: &mut Rig) -> Outcome {
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

/// By a user other than root.
fn detached_run_forwards_ready(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1000i64}));
    bundle.verbs(&READY);
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), false)?;
    manager.ready(rig, &mut running)?;
    rig.delete()
}

/// `run` then stays in the foreground.
fn foreground_run_forwards_ready(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[&READY[..], &["exit", "7"]].concat());
    let mut running = start(&mut manager.command(rig.launch("run", &bundle, &[])?), false)?;
    running.lines.until("waiting=1")?;
    same("the notification", manager.receive()?.0, format!("READY=1\nMAINPID={}\n", rig.pid()?))?;
    rig.mote(&["kill", &rig.id, "USR1"])?.success()?;
    same("the command", running.status()?.0.code(), Some(7))?;
    rig.nothing_left()
}

/// A message that arrives between SIGIO and the read of READY=1 raises SIGIO once more: it is not forwarded to the
/// container, which is sent the signal after it.
fn ready_while_sigio_is_pending_is_forwarded(rig: &mut Rig) -> Outcome {
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
        lines.until("waiting=1").map_err(|_| Error::other("the payload does not wait"))?;
        UnixDatagram::unbound()?.send_to(b"READY=1", &socket)?;
        // Pending signals are taken in the order of their numbers.
        sys::kill(pid, later)
    };
    let (status, reached) = interrupted_when(&mut run, receives_with_sigio, send_both)?;
    drop(run);
    holds("run was about to receive the message", reached)?;
    same("the signal", lines.all()?, format!("signal={later}\n"))?;
    same("the command", libc::WEXITSTATUS(status), 7)?;
    same("the notification", &manager.receive()?.0[..8], "READY=1\n")?;
    rig.nothing_left()
}

/// The variable is that of mote, the directory of the socket is read-only, and other messages than READY=1 are not
/// forwarded.
fn only_ready_is_forwarded(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.set("process.env[+]", "NOTIFY_SOCKET=/of/the/image");
    bundle.verbs(&[
        "env",
        "mkdir",
        "/run/notify/more",
        "notify",
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
    holds("no message arrives", !sys::readable(&manager.socket, std::time::Duration::ZERO)?)
}

fn ready_is_forwarded_to_an_abstract_socket(rig: &mut Rig) -> Outcome {
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

/// The program exits without READY=1: the command does not wait any longer.
fn start_succeeds_without_ready(rig: &mut Rig) -> Outcome {
    let manager = Manager::new(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "nothing"]);
    command::run(&mut manager.command(rig.launch("run", &bundle, &["--detach"])?), "")?.success()?;
    holds("no message arrives", !sys::readable(&manager.socket, std::time::Duration::ZERO)?)?;
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
