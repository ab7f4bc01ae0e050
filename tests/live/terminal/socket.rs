//! `--console-socket`: the engine receives the PTY master, and mote exits.

use std::os::fd::AsRawFd;

use super::screen::Screen;
use super::{bundle, container, exec, only_mote};
use crate::check::{Outcome, contains, holds, same};
use crate::command::{self, run};
use crate::json;
use crate::rig::Rig;
use crate::socket::Socket;
use crate::sys::pty;
use crate::tests;

tests![
    "terminal",
    socket_of_create,
    socket_of_create_in_a_user_namespace,
    socket_of_run_detached,
    socket_of_exec_detached,
    socket_of_exec_in_the_foreground,
    socket_that_is_missing_is_rejected,
    socket_without_a_terminal_is_rejected,
    detached_without_a_socket_is_rejected,
];

const VERBS: &[&str] = &["tty", "size", "stat", "/dev/console", "stat", "/dev/pts/0", "fds", "line"];

/// Runs `create` and `start`, with the test as the engine.
fn console_socket(rig: &Rig, user_namespace: bool) -> Outcome {
    let mut bundle = bundle(rig, VERBS)?;
    if user_namespace {
        bundle.user_namespace(100_000);
    }
    bundle.set("process.user", json!({"uid": 10i64, "gid": 11i64}));
    bundle.set("process.consoleSize", json!({"height": 44i64, "width": 55i64}));
    let socket = Socket::new(rig, "console")?;
    let created = rig.create(&bundle, &["--console-socket", &socket.path])?;
    let (master, name) = socket.receive()?;
    holds("the message has a name", !name.is_empty())?;
    same("the size", pty::size(master.as_raw_fd())?, (44, 55))?;
    let mut screen = Screen::over(master)?;
    rig.mote(&["start", &rig.id])?.success()?;
    screen.until("fds=0 1 2")?;
    let inside = crate::report::Report::parse(&String::from_utf8_lossy(&screen.seen));
    inside.is("tty:0", "/dev/pts/0")?;
    inside.is("tty:control", "ok")?;
    inside.is("size", "44 55")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 10 ")?;
    // Both paths are the same terminal.
    same("/dev/console", inside.get("stat:/dev/console"), inside.get("stat:/dev/pts/0"))?;
    screen.keys(b"some words\n")?;
    screen.until("line=some words")?;
    // Line ends are translated as the process with the master has configured it.
    contains("the lines", &String::from_utf8_lossy(&screen.seen), "tty:control=ok\r\n")?;
    drop(created);
    rig.delete()
}

fn socket_of_create(rig: &mut Rig) -> Outcome {
    console_socket(rig, false)
}

fn socket_of_create_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    console_socket(rig, true)
}

fn socket_of_run_detached(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig, VERBS)?;
    let socket = Socket::new(rig, "console")?;
    let options = ["--detach", "--console-socket", &socket.path];
    rig.run(&bundle, &options)?.success()?;
    let mut screen = Screen::over(socket.receive()?.0)?;
    screen.until("tty:0=/dev/pts/0")?;
    rig.delete()
}

fn socket_of_exec_detached(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let socket = Socket::new(rig, "console")?;
    let options = ["--detach", "--user", "7:8", "--console-socket", &socket.path];
    run(&mut exec(rig, &options, VERBS), "")?.success()?;
    let mut screen = Screen::over(socket.receive()?.0)?;
    let inside = screen.until("fds=0 1 2")?;
    inside.is("tty:2", "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 7 ")?;
    screen.keys(b"some words\n")?;
    screen.until("line=some words")?;
    rig.delete()
}

fn socket_of_exec_in_the_foreground(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let socket = Socket::new(rig, "console")?;
    let options = ["--console-socket", &socket.path];
    let verbs = [VERBS, &["exit", "9"]].concat();
    let running = command::start(&mut exec(rig, &options, &verbs), false)?;
    let mut screen = Screen::over(socket.receive()?.0)?;
    screen.until("fds=0 1 2")?;
    screen.keys(b"some words\n")?;
    let output = running.finish()?;
    same("exit code", output.code(), 9)?;
    same("the standard output", output.stdout.as_str(), "")?;
    rig.delete()
}

fn socket_that_is_missing_is_rejected(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig, &["say", "ran"])?;
    std::fs::write(rig.dir.join("file"), "")?;
    for name in ["none", "file"] {
        let path = rig.dir.join(name).display().to_string();
        let output = run(&mut rig.launch("create", &bundle, &["--console-socket", &path])?, "")?;
        rig.failure(&output, &["--console-socket", name])?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn socket_without_a_terminal_is_rejected(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    let socket = Socket::new(rig, "console")?;
    for verb in ["create", "run"] {
        let output = run(&mut rig.launch(verb, &bundle, &["--console-socket", &socket.path])?, "")?;
        rig.failure(&output, &["--console-socket", "terminal"])?;
        rig.nothing_left()?;
    }
    container(rig)?;
    let words = ["exec", "--console-socket", &socket.path, &rig.id, "/payload", "say", "ran"];
    let output = rig.mote(&words)?;
    same("exit code", output.code(), 255)?;
    contains("the error", &output.stderr, "--console-socket")?;
    rig.delete()
}

fn detached_without_a_socket_is_rejected(rig: &mut Rig) -> Outcome {
    let bundle = bundle(rig, &["say", "ran"])?;
    for (verb, options) in [("create", &[][..]), ("run", &["--detach"])] {
        let output = run(&mut rig.launch(verb, &bundle, options)?, "")?;
        rig.failure(&output, &["terminal", "--console-socket"])?;
        rig.nothing_left()?;
    }
    only_mote(rig)?;
    container(rig)?;
    let output = run(&mut exec(rig, &["--detach"], &["say", "ran"]), "")?;
    same("exit code", output.code(), 255)?;
    contains("the error", &output.stderr, "--console-socket")?;
    rig.delete()
}
