//! The relay between the program's terminal and mote's: no data is lost, and neither side blocks the other.

use super::screen::Screen;
use super::{container, exec, only_mote, run};
use crate::check::{Outcome, contains, fail, holds, same};
use crate::command;
use crate::payload::terminal::numbered_lines;
use crate::rig::Rig;
use crate::socket::Socket;
use crate::sys::pty;
use crate::{sys, tests};

tests![
    "terminal",
    output_immediately_before_exit,
    output_immediately_before_exit_of_exec,
    output_into_a_pipe,
    output_with_a_slow_reader,
    output_with_a_slow_reader_and_nonblock,
    output_without_a_reader,
    output_without_end,
    input_of_64_kib,
    input_of_64_kib_by_lines,
    input_typed_ahead,
    input_and_output_at_the_same_time,
];

/// Numbered lines as a terminal prints them.
fn printed(size: i32) -> Vec<u8> {
    let numbered_lines = numbered_lines(size);
    numbered_lines
        .into_iter()
        .flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] })
        .collect()
}

fn is_complete(seen: &[u8], size: i32) -> Outcome {
    is(seen, &printed(size))
}

fn is(seen: &[u8], wanted: &[u8]) -> Outcome {
    let same = seen.iter().zip(wanted).take_while(|(one, other)| one == other).count();
    if same == wanted.len() && seen.len() == wanted.len() {
        return Ok(());
    }
    fail(format_args!("of {} bytes {} arrived, the first {same} of them correct", wanted.len(), seen.len()))
}

fn output_immediately_before_exit(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["print_kib", "1024", "exit", "7"])?)?;
    same("exit code", screen.finish(running)?.code(), 7)?;
    is_complete(&screen.seen, 1024)
}

fn output_immediately_before_exit_of_exec(rig: &mut Rig) -> Outcome {
    container(rig)?;
    // A short output is the harder case: all of it is in the buffer when the program exits.
    for size in [1, 1, 1, 2, 3, 4, 8, 64, 1024] {
        let mut screen = Screen::new()?;
        let running = screen.start(&mut exec(rig, &[], &["print_kib", &size.to_string(), "exit", "7"]))?;
        same("exit code", screen.finish(running)?.code(), 7)?;
        is_complete(&screen.seen, size)?;
    }
    rig.delete()
}

fn output_into_a_pipe(rig: &mut Rig) -> Outcome {
    let output = command::run(&mut run(rig, &["print_kib", "1024"])?, "")?.success()?;
    is(output.stdout.as_bytes(), &numbered_lines(1024))?;
    container(rig)?;
    let mut running = command::start(&mut exec(rig, &[], &["print_kib", "128"]), false)?;
    let text = running.lines.all()?;
    running.finish()?.success()?;
    is(text.as_bytes(), &numbered_lines(128))?;
    rig.delete()
}

/// The program has exited, and mote has more output than its own terminal accepts.
fn slow_reader(rig: &Rig, blocking: bool) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    for size in [8, 16, 20, 24] {
        let mut screen = Screen::new()?;
        pty::set_blocking(screen.peer(), blocking)?;
        let socket = Socket::new(rig, &format!("pidfd{size}"))?;
        let options = ["--pidfd-socket", &socket.path];
        let running = screen.start(&mut exec(rig, &options, &["print_kib", &size.to_string()]))?;
        let (program, _) = socket.receive()?;
        holds(&format!("{size} KiB are printed"), sys::readable(&program, command::LIMIT)?)?;
        screen.finish(running)?.success()?;
        is_complete(&screen.seen, size)?;
    }
    rig.delete()
}

fn output_with_a_slow_reader(rig: &mut Rig) -> Outcome {
    slow_reader(rig, true)
}

/// Another process that shares the terminal may have set O_NONBLOCK.
fn output_with_a_slow_reader_and_nonblock(rig: &mut Rig) -> Outcome {
    slow_reader(rig, false)
}

/// The reader of mote's standard output has closed it: the program still runs to its end.
fn output_without_a_reader(rig: &mut Rig) -> Outcome {
    let mut command = run(rig, &["print_kib", "256", "exit", "7"])?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut child = command.stdin(std::process::Stdio::null()).stdout(writer).spawn()?;
    let done = sys::pidfd(child.id().cast_signed())?;
    let ended = sys::readable(&done, command::LIMIT)?;
    if !ended {
        child.kill()?;
    }
    let code = child.wait()?.code();
    holds("mote exits", ended)?;
    same("exit code", code, Some(7))
}

/// A process that the program leaves behind prints without end.
fn output_without_end(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    let running = screen.start(&mut exec(rig, &[], &["flood", "exit", "7"]))?;
    same("exit code", screen.finish(running)?.code(), 7)?;
    rig.delete()
}

fn input_of_64_kib(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["raw", "read_kib", "64"])?)?;
    screen.until("raw=ok")?;
    screen.keys(&numbered_lines(64))?;
    screen.finish(running)?.success()?.report().is("read_kib", "all")
}

/// Each line is echoed, and can be read when it is complete.
fn input_of_64_kib_by_lines(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["say", "ready", "read_kib", "64"])?)?;
    screen.until("say=ready")?;
    screen.keys(&numbered_lines(64))?;
    let output = screen.finish(running)?.success()?;
    // The kernel may drop echoes if the buffer is full, even line breaks.
    contains("the standard output", &output.stdout, "read_kib=all\r\n")
}

/// Input typed before mote has the terminal.
fn input_typed_ahead(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    screen.keys(b"some words\n")?;
    screen.run(&mut run(rig, &["line"])?)?.is("line", "some words")
}

/// A program that prints without reading must not keep mote from reading its output.
fn input_and_output_at_the_same_time(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["raw", "print_kib", "512", "read_kib", "64"])?)?;
    screen.until("raw=ok")?;
    let before = screen.seen.len();
    screen.keys(&numbered_lines(64))?;
    let output = screen.finish(running)?.success()?;
    output.report().is("read_kib", "all")?;
    // In raw mode, the output is not translated either.
    let poured = screen.seen.windows(64).filter(|line| line.ends_with(b"\n")).count();
    holds(&format!("512 KiB arrived after {before} bytes"), screen.seen.len() >= 512 << 10 && poured > 0)
}
