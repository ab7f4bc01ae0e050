//! `run` and `exec --tty` in the foreground: what the terminal is inside, and what becomes of mote's own.

use super::screen::Screen;
use super::{bundle, container, exec, only_mote, run};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{self, Lines};
use crate::report::Report;
use crate::json;
use crate::rig::{Runtime, Rig};
use crate::sys::pty;
use crate::tests;

tests![
    "terminal",
    run_has_a_terminal,
    exec_has_a_terminal,
    exec_by_a_file_has_a_terminal,
    belongs_to_the_user,
    belongs_to_the_user_in_a_user_namespace,
    size_is_that_of_the_callers,
    size_of_the_configuration,
    size_of_zero_in_the_configuration,
    size_follows_the_callers,
    callers_is_raw_meanwhile,
    callers_is_as_before_after_a_signal,
    callers_is_left_alone_when_nothing_runs,
    interrupt_is_the_programs,
    end_of_input_is_the_programs,
    exit_codes,
    without_one_outside,
    output_that_is_no_terminal_has_plain_lines,
    output_that_is_no_terminal_beside_one,
];

const VERBS: &[&str] = &["tty", "id", "fds", "stat", "/dev/pts/0", "stat", "/dev/console"];

/// A terminal of this name, that the process is the leader of.
fn whole(inside: &Report, name: &str) -> Outcome {
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
    whole(&inside, "/dev/pts/0")?;
    contains("the console", inside.get("stat:/dev/console"), " 136:0")?;
    same("the console", inside.get("stat:/dev/console"), inside.get("stat:/dev/pts/0"))
}

fn exec_has_a_terminal(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let (mut one, mut two) = (Screen::new()?, Screen::new()?);
    let verbs = [VERBS, &["say", "first", "line"]].concat();
    let seat = one.start(&mut exec(rig, &[], &verbs))?;
    let first = one.until("say=first")?;
    whole(&first, "/dev/pts/0")?;
    // Beside it another.
    whole(&two.run(&mut exec(rig, &[], VERBS))?, "/dev/pts/1")?;
    one.keys(b"\n")?;
    one.finish(seat)?.success()?;
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
    whole(&inside, "/dev/pts/0")?;
    inside.is("size", "44 55")?;
    rig.delete()
}

fn belongs_to_the_user(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, VERBS)?;
    bundle.set("process.user", json!({"uid": 1000i64, "gid": 1001i64}));
    let inside = Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?;
    whole(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 1000 ")?;
    container(rig)?;
    let inside = Screen::new()?.run(&mut exec(rig, &["--user", "7:8"], VERBS))?;
    whole(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 7 ")?;
    rig.delete()
}

fn belongs_to_the_user_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, VERBS)?;
    bundle.user_namespace(100_000);
    bundle.set("process.user", json!({"uid": 10i64, "gid": 11i64}));
    let inside = Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?;
    whole(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 10 ")?;
    bundle.set("process.terminal", false);
    rig.waiting(&mut bundle)?;
    let inside = Screen::new()?.run(&mut exec(rig, &["--user", "7:8"], VERBS))?;
    whole(&inside, "/dev/pts/0")?;
    contains("the owner", inside.get("stat:/dev/pts/0"), "c 620 7 ")?;
    rig.delete()
}

fn size_is_that_of_the_callers(rig: &mut Rig) -> Outcome {
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

/// As docker writes it when it does not know.
fn size_of_zero_in_the_configuration(rig: &mut Rig) -> Outcome {
    let mut bundle = bundle(rig, &["size"])?;
    for size in [json!({"height": 0i64, "width": 0i64}), json!({})] {
        bundle.set("process.consoleSize", size);
        Screen::new()?.run(&mut rig.launch("run", &bundle, &[])?)?.is("size", "33 101")?;
    }
    Ok(())
}

fn size_follows_the_callers(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["size", "wait", "2", "size"])?)?;
    screen.until("waiting=1")?.is("size", "33 101")?;
    screen.set_size((40, 120))?;
    screen.until(&format!("signal={}", libc::SIGWINCH))?;
    screen.set_size((50, 130))?;
    screen.until(&format!("signal={}", libc::SIGWINCH))?;
    screen.until("size=50 130")?;
    screen.finish(seat)?.success()?;
    Ok(())
}

fn callers_is_raw_meanwhile(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    // Nothing that would be so by chance.
    pty::toggle_local(screen.peer(), libc::ECHOK | libc::NOFLSH)?;
    let before = pty::modes(screen.peer())?;
    let seat = screen.start(&mut exec(rig, &[], &["say", "here", "line", "exit", "5"]))?;
    // What is printed comes through a relay, which has made it raw before.
    screen.until("say=here")?;
    holds("it is raw", pty::is_raw(screen.peer())?)?;
    screen.keys(b"\n")?;
    same("exit code", screen.finish(seat)?.code(), 5)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

fn callers_is_as_before_after_a_signal(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    let seat = screen.start(&mut run(rig, &["wait", "1", "kill", "9"])?)?;
    screen.until("waiting=1")?;
    seat.signal(libc::SIGTERM)?;
    screen.until("signal=15")?;
    let seat_ends = screen.finish(seat)?;
    // A first process cannot kill itself.
    same("exit code", seat_ends.code(), 0)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    container(rig)?;
    let seat = screen.start(&mut exec(rig, &[], &["say", "here", "line"]))?;
    screen.until("say=here")?;
    seat.signal(libc::SIGTERM)?;
    same("exit code", screen.finish(seat)?.code(), 128 + 15)?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

fn callers_is_left_alone_when_nothing_runs(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    container(rig)?;
    let seat = screen.start(&mut rig.command(&["exec", "--tty", &rig.id, "/moonshot"]))?;
    let output = screen.finish(seat)?;
    same("exit code", output.code(), 127)?;
    contains("the error", &output.stderr, "/moonshot")?;
    rig.delete()?;
    let mut bundle = bundle(rig, &[])?;
    bundle.set("process.args", json!(["/moonshot"]));
    let seat = screen.start(&mut rig.launch("run", &bundle, &[])?)?;
    screen.finish(seat)?.failure(&["/moonshot"])?;
    same("the terminal modes", pty::modes(screen.peer())?, before)
}

fn interrupt_is_the_programs(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["wait", "2", "exit", "5"])?)?;
    screen.until("waiting=1")?;
    for (key, signal) in [(b"\x03", libc::SIGINT), (b"\x1c", libc::SIGQUIT)] {
        screen.keys(key)?;
        screen.until(&format!("signal={signal}"))?;
    }
    same("exit code", screen.finish(seat)?.code(), 5)?;
    // And where it ends the program.
    container(rig)?;
    let seat = screen.start(&mut exec(rig, &[], &["say", "here", "line"]))?;
    screen.until("say=here")?;
    screen.keys(b"\x03")?;
    same("exit code", screen.finish(seat)?.code(), 128 + libc::SIGINT)?;
    rig.status_is("running")?;
    rig.delete()
}

fn end_of_input_is_the_programs(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["say", "here", "stdin"])?)?;
    screen.until("say=here")?;
    screen.keys(b"some words\r\x04")?;
    screen.finish(seat)?.success()?.report().is("stdin", "some words\n")
}

fn exit_codes(rig: &mut Rig) -> Outcome {
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut run(rig, &["exit", "7"])?)?;
    same("exit code", screen.finish(seat)?.code(), 7)?;
    container(rig)?;
    for (verb, word, code) in [("exit", "7", 7), ("kill", "9", 137), ("kill", "15", 143)] {
        let seat = screen.start(&mut exec(rig, &[], &[verb, word]))?;
        same("exit code", screen.finish(seat)?.code(), code)?;
    }
    rig.delete()
}

/// As with runc: no `\r` in what goes to a file or to the next program.
fn output_that_is_no_terminal_has_plain_lines(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun leaves them");
    }
    let output = command::run(&mut run(rig, &["say", "one", "say", "two"])?, "")?.success()?;
    same("what is printed", output.stdout.as_str(), "say=one\nsay=two\n")?;
    container(rig)?;
    let output = command::run(&mut exec(rig, &[], &["say", "one", "say", "two"]), "")?.success()?;
    same("what is printed", output.stdout.as_str(), "say=one\nsay=two\n")?;
    // On a terminal they are as ever.
    let mut screen = Screen::new()?;
    let seat = screen.start(&mut exec(rig, &[], &["say", "one", "say", "two"]))?;
    screen.finish(seat)?.success()?;
    contains("what is printed", &String::from_utf8_lossy(&screen.seen), "say=one\r\nsay=two\r\n")?;
    rig.delete()
}

/// `mote run ... | less`: keys go through one by one, and the other program still prints on the terminal.
fn output_that_is_no_terminal_beside_one(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let mut screen = Screen::new()?;
    let before = pty::modes(screen.peer())?;
    let (pipe, output) = std::io::pipe()?;
    let mut command = exec(rig, &[], &["say", "here", "line", "say", "there"]);
    let seat = screen.start_printing(&mut command, output.into())?;
    let mut lines = Lines::new(pipe);
    lines.until("say=here")?;
    let (([_, output_before, ..], _), ([input, output, _, local], _)) = (before, pty::modes(screen.peer())?);
    same("the modes of its output", output, output_before)?;
    holds("keys go through", input & libc::ICRNL == 0 && local & (libc::ICANON | libc::ECHO) == 0)?;
    screen.keys(b"x\n")?;
    lines.until("say=there")?;
    screen.finish(seat)?.success()?;
    same("the terminal modes", pty::modes(screen.peer())?, before)?;
    rig.delete()
}

/// Pipes and files do as well: the terminal is the program's alone.
fn without_one_outside(rig: &mut Rig) -> Outcome {
    let verbs = [VERBS, &["line"]].concat();
    let output = command::run(&mut run(rig, &verbs)?, "some words\n")?.success()?;
    whole(&output.report(), "/dev/pts/0")?;
    output.report().is("line", "some words")?;
    // Nothing to read at all.
    container(rig)?;
    let output = command::run(&mut exec(rig, &[], VERBS), "")?.success()?;
    whole(&output.report(), "/dev/pts/0")?;
    rig.delete()
}
