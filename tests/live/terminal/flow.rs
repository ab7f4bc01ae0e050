//! Between the program's terminal and mote's own nothing gets lost, and nothing gets stuck.

use super::screen::Screen;
use super::{container, exec, only_mote, run};
use crate::check::{Outcome, contains, fail, holds, same};
use crate::command;
use crate::payload::terminal::water;
use crate::rig::Rig;
use crate::socket::Socket;
use crate::sys::pty;
use crate::{sys, tests};

tests![
    "terminal",
    output_right_before_the_end,
    output_right_before_the_end_of_exec,
    output_into_a_pipe,
    output_that_waits_for_its_reader,
    output_that_waits_for_its_reader_who_does_not_wait,
    output_nobody_reads,
    output_without_end,
    input_of_64_kib,
    input_of_64_kib_by_lines,
    input_typed_ahead,
    input_and_output_at_once,
];

/// KiB as they look when they come out of a terminal.
fn printed(size: i32) -> Vec<u8> {
    let water = water(size);
    water.into_iter().flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect()
}

fn whole(seen: &[u8], size: i32) -> Outcome {
    is(seen, &printed(size))
}

fn is(seen: &[u8], wanted: &[u8]) -> Outcome {
    let same = seen.iter().zip(wanted).take_while(|(one, other)| one == other).count();
    if same == wanted.len() && seen.len() == wanted.len() {
        return Ok(());
    }
    fail(format_args!("of {} bytes {} came, {same} of them as they should", wanted.len(), seen.len()))
}

fn output_right_before_the_end(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["pour", "1024", "exit", "7"])?)?;
    same("exit code", screen.finish(seat)?.code(), 7)?;
    whole(&screen.seen, 1024)
}

fn output_right_before_the_end_of_exec(rig: &mut Rig) -> Outcome {
    container(rig)?;
    // Few bytes are the harder case: they are all there when the program has ended.
    for size in [1, 1, 1, 2, 3, 4, 8, 64, 1024] {
        let mut screen = Screen::new()?;
        let seat = screen.start(&mut exec(rig, &[], &["pour", &size.to_string(), "exit", "7"]))?;
        same("exit code", screen.finish(seat)?.code(), 7)?;
        whole(&screen.seen, size)?;
    }
    rig.delete()
}

fn output_into_a_pipe(rig: &mut Rig) -> Outcome {
    let output = command::run(&mut run(rig, &["pour", "1024"])?, "")?.success()?;
    is(output.stdout.as_bytes(), &water(1024))?;
    container(rig)?;
    let mut running = command::start(&mut exec(rig, &[], &["pour", "128"]), false)?;
    let text = running.lines.all()?;
    running.finish()?.success()?;
    is(text.as_bytes(), &water(128))?;
    rig.delete()
}

/// The program has ended, and mote still has more of it than its own terminal takes.
fn waits_for_its_reader(rig: &Rig, waits: bool) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    for size in [8, 16, 20, 24] {
        let mut screen = Screen::new()?;
        pty::set_blocking(screen.peer(), waits)?;
        let socket = Socket::new(rig, &format!("pidfd{size}"))?;
        let options = ["--pidfd-socket", &socket.path];
        let seat = screen.start(&mut exec(rig, &options, &["pour", &size.to_string()]))?;
        let (program, _) = socket.receive()?;
        holds(&format!("{size} KiB are printed"), sys::readable(&program, command::LIMIT)?)?;
        screen.finish(seat)?.success()?;
        whole(&screen.seen, size)?;
    }
    rig.delete()
}

fn output_that_waits_for_its_reader(rig: &mut Rig) -> Outcome {
    waits_for_its_reader(rig, true)
}

/// Whoever shares the terminal may have set O_NONBLOCK on it.
fn output_that_waits_for_its_reader_who_does_not_wait(rig: &mut Rig) -> Outcome {
    waits_for_its_reader(rig, false)
}

/// Mote's standard output is gone: the program still comes to its end.
fn output_nobody_reads(rig: &mut Rig) -> Outcome {
    let mut command = run(rig, &["pour", "256", "exit", "7"])?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut child = command.stdin(std::process::Stdio::null()).stdout(writer).spawn()?;
    let done = sys::pidfd(child.id().cast_signed())?;
    let ended = sys::readable(&done, command::LIMIT)?;
    if !ended {
        child.kill()?;
    }
    let code = child.wait()?.code();
    holds("it ends", ended)?;
    same("exit code", code, Some(7))
}

/// Somebody whom the program leaves behind prints for ever.
fn output_without_end(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut exec(rig, &[], &["flood", "exit", "7"]))?;
    same("exit code", screen.finish(seat)?.code(), 7)?;
    rig.delete()
}

fn input_of_64_kib(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["raw", "drink", "64"])?)?;
    screen.until("raw=ok")?;
    screen.keys(&water(64))?;
    screen.finish(seat)?.success()?.report().is("drink", "all")
}

/// Each line is echoed, and read when it is whole.
fn input_of_64_kib_by_lines(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["say", "ready", "drink", "64"])?)?;
    screen.until("say=ready")?;
    screen.keys(&water(64))?;
    let output = screen.finish(seat)?.success()?;
    // The kernel may leave out echoes that nobody takes in time, also ends of lines.
    contains("the standard output", &output.stdout, "drink=all\r\n")
}

/// Before mote had the terminal.
fn input_typed_ahead(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    screen.keys(b"some words\n")?;
    screen.run(&mut run(rig, &["line"])?)?.is("line", "some words")
}

/// A program that prints without reading must not keep mote from taking what it prints.
fn input_and_output_at_once(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["raw", "pour", "512", "drink", "64"])?)?;
    screen.until("raw=ok")?;
    let before = screen.seen.len();
    screen.keys(&water(64))?;
    let output = screen.finish(seat)?.success()?;
    output.report().is("drink", "all")?;
    // Raw is also what it prints.
    let poured = screen.seen.windows(64).filter(|line| line.ends_with(b"\n")).count();
    holds(&format!("512 KiB came after {before} bytes"), screen.seen.len() >= 512 << 10 && poured > 0)
}
