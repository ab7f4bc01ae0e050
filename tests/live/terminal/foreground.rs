//! `run` and `exec --tty` in the foreground: the terminal of the program, and the modes of mote's own terminal.

use super::screen::Screen;
use super::{bundle, container, exec, only_mote, run};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{self, Lines};
use crate::json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::sys::pty;
use crate::tests;

tests![
    "terminal",
    run_has_a_terminal,
    exec_has_a_terminal,
    exec_by_a_file_has_a_terminal,
    belongs_to_the_user,
    belongs_to_the_user_in_a_user_namespace,
    size_is_that_of_the_callers_terminal,
    size_of_the_configuration,
    size_of_zero_in_the_configuration,
    size_follows_the_callers_terminal,
    callers_terminal_is_raw_while_running,
    callers_terminal_is_restored_after_a_signal,
    callers_terminal_is_unchanged_if_nothing_runs,
    interrupt_character_is_sent_to_the_program,
    end_of_input_character_is_sent_to_the_program,
    exit_codes,
    without_a_terminal_outside,
    output_to_a_pipe_has_plain_line_ends,
    output_to_a_pipe_with_input_from_a_terminal,
];

const VERBS: &[&str] = &["tty", "id", "fds", "stat", "/dev/pts/0", "stat", "/dev/console"];

/// Checks that the process has a controlling terminal of this name and leads its session.
fn is_controlling_terminal(inside: &Report, name: &str) -> Outcome {
    for fd in 0..3 {
        inside.is(&format!("tty:{fd}"), name)?;
    }
    same("the terminal's session", inside.get("tty:session"), inside.get("pid"))?;
    same("the terminal's group", inside.get("tty:group"), inside.get("pid"))?;
    same("the session", inside.get("sid"), inside.get("pid"))?;
    inside.is("tty:control", "ok")?;
    inside.is("fds", "0 1 2")
}

fn run_has_a_terminal(rig: &mut Rig) -> Outcome {
    let inside = Screen::new()?.run(&mut run(rig, VERBS)?)?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    contains("the console", inside.get("stat:/dev/console"), " 136:0")?;
    same("the console", inside.get("stat:/dev/console"), inside.get("stat:/dev/pts/0"))
}

fn exec_has_a_terminal(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let (mut one, mut two) = (Screen::new()?, Screen::new()?);
    let verbs = [VERBS, &["say", "first", "line"]].concat();
    let running = one.start(&mut exec(rig, &[], &verbs))?;
    let first = one.until("say=first")?;
    is_controlling_terminal(&first, "/dev/pts/0")?;
    // A second terminal.
    is_controlling_terminal(&two.run(&mut exec(rig, &[], VERBS))?, "/dev/pts/1")?;
    one.keys(b"\n")?;
    one.finish(running)?.success()?;
    rig.delete()
}

fn exec_by_a_file_has_a_terminal(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let path = rig.dir.join("process.json");
    let process = json!({
        "terminal": true, "args": ["/payload", "tty", "id", "fds", "size"], "cwd": "/",
        "consoleSize": {"height": 44i64, "width": 55i64}
    });
    std::fs::write(&path, process.to_string())?;
    let mut command = rig.command(&["exec", "--process", &path.display().to_string(), &rig.id]);
    let inside = Screen::new()?.run(&mut command)?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    inside.is("size", "44 55")?;
    rig.delete()
}

fn belongs_to_the_user(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, VERBS)?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64}));
    let inside = Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 1000 ")?;
    container(rig)?;
    let inside = Screen::new()?.run(&mut exec(rig, &["--user", "7:8"], VERBS))?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 7 ")?;
    rig.delete()
}

fn belongs_to_the_user_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, VERBS)?;
    bundle.user_namespace(100_000);
    bundle.set("process.user", json!({"uid": 10i64, "gid": 11i64}));
    let inside = Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 10 ")?;
    bundle.set("process.terminal", false);
    rig.waiting(&mut bundle)?;
    let inside = Screen::new()?.run(&mut exec(rig, &["--user", "7:8"], VERBS))?;
    is_controlling_terminal(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 7 ")?;
    rig.delete()
}

fn size_is_that_of_the_callers_terminal(rig: &mut Rig) -> Outcome {
    Screen::new()?.run(&mut run(rig, &["size"])?)?.is("size", "33 101")?;
    container(rig)?;
    Screen::new()?.run(&mut exec(rig, &[], &["size"]))?.is("size", "33 101")?;
    rig.delete()
}

fn size_of_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["size"])?;
    bundle.set("process.consoleSize", json!({"height": 44i64, "width": 55i64}));
    Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?.is("size", "44 55")
}

/// As from docker if the size is unknown.
fn size_of_zero_in_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["size"])?;
    for size in [json!({"height": 0i64, "width": 0i64}), json!({})] {
        bundle.set("process.consoleSize", size);
        Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?.is("size", "33 101")?;
    }
    Ok(())
}

fn size_follows_the_callers_terminal(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["size", "wait", "2", "size"])?)?;
    screen.until("waiting=1")?.is("size", "33 101")?;
    screen.set_size((40, 120))?;
    screen.until(&format!("signal={}", libc::SIGWINCH))?;
    screen.set_size((50, 130))?;
    screen.until(&format!("signal={}", libc::SIGWINCH))?;
    screen.until("size=50 130")?;
    screen.finish(running)?.success()?;
    Ok(())
}

fn callers_terminal_is_raw_while_running(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    // Modes that differ from the defaults.
    pty::toggle_local(screen.peer(), libc::ECHOK | libc::NOFLSH)?;
    let before = pty::modes(screen.peer())?;
    let running = screen.start(&mut exec(rig, &[], &["say", "here", "line", "exit", "5"]))?;
    // The output arrives through the relay, which has set raw mode before.
    screen.until("say=here")?;
    holds("the terminal is in raw mode", pty::is_raw(screen.peer())?)?;
    screen.keys(b"\n")?;
    same("exit code", screen.finish(running)?.code(), 5)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

fn callers_terminal_is_restored_after_a_signal(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    let running = screen.start(&mut run(rig, &["wait", "1", "kill", "9"])?)?;
    screen.until("waiting=1")?;
    running.signal(libc::SIGTERM)?;
    screen.until("signal=15")?;
    let output = screen.finish(running)?;
    // The init of a pid namespace cannot kill itself.
    same("exit code", output.code(), 0)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    container(rig)?;
    let running = screen.start(&mut exec(rig, &[], &["say", "here", "line"]))?;
    screen.until("say=here")?;
    running.signal(libc::SIGTERM)?;
    same("exit code", screen.finish(running)?.code(), 128 + 15)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

fn callers_terminal_is_unchanged_if_nothing_runs(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    container(rig)?;
    let running = screen.start(&mut rig.command(&["exec", "--tty", &rig.id, "/moonshot"]))?;
    let output = screen.finish(running)?;
    same("exit code", output.code(), 127)?;
    contains("the error", &output.stderr, "/moonshot")?;
    rig.delete()?;
    let mut bundle = bundle(rig, &[])?;
    bundle.set("process.args", json!(["/moonshot"]));
    let running = screen.start(&mut rig.launch("run", &bundle, &[])?)?;
    screen.finish(running)?.failure(&["/moonshot"])?;
    same("the terminal modes", pty::modes(screen.peer())?, before)
}

fn interrupt_character_is_sent_to_the_program(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["wait", "2", "exit", "5"])?)?;
    screen.until("waiting=1")?;
    for (key, signal) in [(b"\x03", libc::SIGINT), (b"\x1c", libc::SIGQUIT)] {
        screen.keys(key)?;
        screen.until(&format!("signal={signal}"))?;
    }
    same("exit code", screen.finish(running)?.code(), 5)?;
    // The interrupt character also kills a program without a handler.
    container(rig)?;
    let running = screen.start(&mut exec(rig, &[], &["say", "here", "line"]))?;
    screen.until("say=here")?;
    screen.keys(b"\x03")?;
    same("exit code", screen.finish(running)?.code(), 128 + libc::SIGINT)?;
    rig.status_is("running")?;
    rig.delete()
}

fn end_of_input_character_is_sent_to_the_program(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["say", "here", "stdin"])?)?;
    screen.until("say=here")?;
    screen.keys(b"some words\r\x04")?;
    screen.finish(running)?.success()?.report().is("stdin", "some words\n")
}

fn exit_codes(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let running = screen.start(&mut run(rig, &["exit", "7"])?)?;
    same("exit code", screen.finish(running)?.code(), 7)?;
    container(rig)?;
    for (verb, word, code) in [("exit", "7", 7), ("kill", "9", 137), ("kill", "15", 143)] {
        let running = screen.start(&mut exec(rig, &[], &[verb, word]))?;
        same("exit code", screen.finish(running)?.code(), code)?;
    }
    rig.delete()
}

/// As with runc: no `\r` in output to a file or a pipe.
fn output_to_a_pipe_has_plain_line_ends(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun does not change line ends");
    }
    let output = command::run(&mut run(rig, &["say", "one", "say", "two"])?, "")?.success()?;
    same("what is printed", output.stdout.as_str(), "say=one\nsay=two\n")?;
    container(rig)?;
    let output = command::run(&mut exec(rig, &[], &["say", "one", "say", "two"]), "")?.success()?;
    same("what is printed", output.stdout.as_str(), "say=one\nsay=two\n")?;
    // On a terminal, lines end in `\r\n`.
    let mut screen = Screen::new()?;
    let running = screen.start(&mut exec(rig, &[], &["say", "one", "say", "two"]))?;
    screen.finish(running)?.success()?;
    contains("what is printed", &String::from_utf8_lossy(&screen.seen), "say=one\r\nsay=two\r\n")?;
    rig.delete()
}

/// `mote run ... | less`: keys are passed unbuffered, and the other program prints on the terminal.
fn output_to_a_pipe_with_input_from_a_terminal(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    let (pipe, output) = std::io::pipe()?;
    let mut command = exec(rig, &[], &["say", "here", "line", "say", "there"]);
    let running = screen.start_printing(&mut command, output.into())?;
    let mut lines = Lines::new(pipe);
    lines.until("say=here")?;
    let (([_, output_before, ..], _), ([input, output, _, local], _)) = (before, pty::modes(screen.peer())?);
    same("the modes of its output", output, output_before)?;
    holds("input is unbuffered", input & libc::ICRNL == 0 && local & (libc::ICANON | libc::ECHO) == 0)?;
    screen.keys(b"x\n")?;
    lines.until("say=there")?;
    screen.finish(running)?.success()?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

/// With pipes or files instead of a terminal outside, the program has a terminal nevertheless.
fn without_a_terminal_outside(rig: &mut Rig) -> Outcome {
    let verbs = [VERBS, &["line"]].concat();
    let output = command::run(&mut run(rig, &verbs)?, "some words\n")?.success()?;
    is_controlling_terminal(&output.report(), "/dev/pts/0")?;
    output.report().is("line", "some words")?;
    // Without any input.
    container(rig)?;
    let output = command::run(&mut exec(rig, &[], VERBS), "")?.success()?;
    is_controlling_terminal(&output.report(), "/dev/pts/0")?;
    rig.delete()
}
