//! Terminals of containers that are dumped and restored.

use super::{dump, needs_criu, restore_command};
use crate::check::{Outcome, holds, same};
use crate::command::run;
use crate::rig::Rig;
use crate::socket::Socket;
use crate::terminal::screen::Screen;
use crate::tests;

tests![
    "checkpoint",
    terminal_with_a_console_socket,
    terminal_in_the_foreground,
    terminal_without_a_socket_is_rejected,
    terminal_that_was_not_dumped_is_rejected,
    shell_job,
];

/// Runs a container with a terminal, and dumps it. The terminal is closed then.
fn dumped(rig: &Rig) -> Outcome<crate::bundle::Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.terminal", true);
    bundle.verbs(&["tty_lines"]);
    let socket = Socket::new(rig, "first")?;
    run(&mut rig.launch("run", &bundle, &["--detach", "--console-socket", &socket.path])?, "")?.success()?;
    let (master, _) = socket.receive()?;
    let mut screen = Screen::over(master)?;
    screen.set_size((24, 80))?;
    screen.until("waiting=1")?;
    screen.keys(b"one\n")?;
    screen.until("got=one 24 80")?;
    dump(rig, &[])?.success()?;
    Ok(bundle)
}

fn terminal_with_a_console_socket(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let bundle = dumped(rig)?;
    let socket = Socket::new(rig, "second")?;
    run(&mut restore_command(rig, &bundle, &["--detach", "--console-socket", &socket.path])?, "")?
        .success()?;
    let (master, name) = socket.receive()?;
    holds("the message has a name", !name.is_empty())?;
    let mut screen = Screen::over(master)?;
    screen.keys(b"two\n")?;
    screen.until("got=two 24 80")?;
    let report = rig.mote(&["exec", &rig.id, "/payload", "stat", "/dev/console"])?.success()?.report();
    holds("/dev/console is a device", report.get("stat:/dev/console").starts_with("c "))?;
    rig.delete()
}

fn terminal_in_the_foreground(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let bundle = dumped(rig)?;
    let mut screen = Screen::new()?;
    let running = screen.start(&mut restore_command(rig, &bundle, &[])?)?;
    screen.keys(b"three\n")?;
    screen.until("got=three 33 101")?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    same("the exit code", screen.finish(running)?.code(), 137)?;
    rig.nothing_left()
}

fn terminal_without_a_socket_is_rejected(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let bundle = dumped(rig)?;
    let failed = run(&mut restore_command(rig, &bundle, &["--detach"])?, "")?;
    failed.failure(&["process.terminal", "--console-socket"])?;
    rig.nothing_left()
}

/// Neither hangs: there is no terminal to wait for.
fn terminal_that_was_not_dumped_is_rejected(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    let _running = super::container(rig, &mut bundle, &["wait", "1"])?;
    dump(rig, &[])?.success()?;
    bundle.set("process.terminal", true);
    let socket = Socket::new(rig, "console")?;
    let failed =
        run(&mut restore_command(rig, &bundle, &["--detach", "--console-socket", &socket.path])?, "")?;
    failed.failure(&["process.terminal: the dumped container had no terminal"])?;
    rig.nothing_left()?;
    let failed = run(&mut restore_command(rig, &bundle, &[])?, "")?;
    failed.failure(&["process.terminal: the dumped container had no terminal"])?;
    rig.nothing_left()
}

/// The streams of the container are the terminal of its caller.
fn shell_job(rig: &mut Rig) -> Outcome {
    needs_criu(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["tty_lines"]);
    let mut screen = Screen::new()?;
    let running = screen.start_on_it(&mut rig.launch("run", &bundle, &[])?)?;
    screen.until("waiting=1")?;
    dump(rig, &[])?.failure(&["criu: dump failed"])?;
    dump(rig, &["--shell-job"])?.success()?;
    same("the exit code of run", screen.finish(running)?.code(), 137)?;
    let mut screen = Screen::new()?;
    let running = screen.start_on_it(&mut restore_command(rig, &bundle, &["--shell-job"])?)?;
    screen.keys(b"again\n")?;
    screen.until("got=again 33 101")?;
    rig.mote(&["kill", &rig.id, "KILL"])?.success()?;
    same("the exit code of restore", screen.finish(running)?.code(), 137)?;
    rig.nothing_left()
}
