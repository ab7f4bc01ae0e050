//! Input, output and exit of an exec process: exit codes, signals, detached processes, PID files, file descriptors.

use std::fs;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use super::{command, container, exec, only_mote, program, rejected, report};
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::command::{LIMIT, run, start};
use crate::rig::{Rig, Runtime};
use crate::socket::{Socket, pid_of};
use crate::{sys, tests};

tests![
    "exec",
    exit_code_of_the_program,
    exit_code_of_a_signal,
    exit_code_of_a_missing_program,
    exit_code_of_a_program_that_cannot_be_executed,
    exit_code_of_an_error_of_mote,
    exit_code_of_a_wrong_command_line,
    signals_are_forwarded,
    input_and_output_are_inherited,
    detached_writes_the_pid_file,
    detached_that_fails_leaves_no_pid_file,
    pidfd_is_sent,
    pidfd_of_the_init_is_sent_to_the_socket_of_an_annotation,
    descriptors_are_three,
    descriptors_to_preserve,
    orphans_become_children_of_the_init,
];

fn exit_code_of_the_program(rig: &mut Rig) -> Outcome {
    container(rig)?;
    for code in [0, 1, 7, 255] {
        let output = exec(rig, &[], &["exit", &code.to_string()])?;
        same("exit code", output.code(), code)?;
        same("the standard error", output.stderr.as_str(), "")?;
    }
    rig.delete()
}

fn exit_code_of_a_signal(rig: &mut Rig) -> Outcome {
    container(rig)?;
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGINT] {
        same("exit code", exec(rig, &[], &["kill", &signal.to_string()])?.code(), 128 + signal)?;
    }
    rig.delete()
}

fn exit_code_of_a_missing_program(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let words = ["moonshot", "executable file not found in $PATH"];
    for options in [&[][..], &["--detach"]] {
        rejected(&run(&mut program(rig, options, &["moonshot"]), "")?, 127, &words)?;
        let output = run(&mut program(rig, options, &["/bin/moonshot"]), "")?;
        rejected(&output, 127, &["/bin/moonshot"])?;
        // podman matches on this message.
        contains("the error", &output.stderr.to_lowercase(), "no such file or directory")?;
    }
    rig.delete()
}

fn exit_code_of_a_program_that_cannot_be_executed(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let bundle = container(rig)?;
    bundle.file("/bin/text", "text")?;
    for word in ["/bin/text", "text", "/etc"] {
        let output = run(&mut program(rig, &[], &[word]), "")?;
        rejected(&output, 126, &[word])?;
        contains("the error", &output.stderr.to_lowercase(), "permission denied")?;
    }
    bundle.file("/bin/unknown", "text")?;
    fs::set_permissions(bundle.host_path("bin/unknown"), fs::Permissions::from_mode(0o755))?;
    rejected(&run(&mut program(rig, &[], &["unknown"]), "")?, 126, &["unknown"])?;
    rig.delete()
}

fn exit_code_of_an_error_of_mote(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rejected(&exec(rig, &[], &[])?, 255, &["does not exist", &rig.id])?;
    container(rig)?;
    rejected(&exec(rig, &["--pid-file", "/none/pid"], &[])?, 255, &["/none/pid"])?;
    rejected(&exec(rig, &["--pidfd-socket", "/none/socket"], &[])?, 255, &["/none/socket"])?;
    rig.delete()
}

fn exit_code_of_a_wrong_command_line(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    rejected(&exec(rig, &["--moonshot"], &[])?, 64, &["--moonshot"])?;
    rejected(&exec(rig, &["--preserve-fds", "many"], &[])?, 64, &["--preserve-fds"])?;
    rejected(&exec(rig, &["--additional-gids", "x"], &[])?, 64, &["--additional-gids"])?;
    rejected(&run(&mut program(rig, &[], &[]), "")?, 64, &["program"])?;
    rig.delete()
}

fn signals_are_forwarded(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let signals =
        [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGUSR1, libc::SIGWINCH, libc::SIGRTMAX()];
    let count = signals.len().to_string();
    let mut running = start(&mut command(rig, &[], &["wait", &count, "exit", "9"]), false)?;
    running.lines.until("waiting=1")?;
    for signal in signals {
        running.signal(signal)?;
        same("the payload's output", running.lines.next()?, format!("signal={signal}"))?;
    }
    same("exit code", running.finish()?.code(), 9)?;
    // A signal that kills the process.
    let mut running = start(&mut command(rig, &[], &["say", "here", "line"]), true)?;
    running.lines.until("say=here")?;
    running.signal(libc::SIGTERM)?;
    // The end of the standard input would end the payload, too.
    same("the standard output", running.lines.all()?.as_str(), "")?;
    same("exit code", running.finish()?.code(), 128 + libc::SIGTERM)?;
    rig.delete()
}

fn input_and_output_are_inherited(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let output = run(&mut command(rig, &[], &["stdin", "warn", "an error"]), "some words\nand more")?;
    output.report().is("stdin", "some words\nand more")?;
    same("the standard error", output.stderr.as_str(), "an error\n")?;
    let options = ["--user", "1000:1000"];
    let mut running = start(&mut command(rig, &options, &["write", "/dev/stdout"]), true)?;
    running.close_input();
    let output = running.finish()?;
    same("the standard output", output.stdout.as_str(), "xwrite:/dev/stdout=ok\n")?;
    rig.delete()
}

fn detached_writes_the_pid_file(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let file = rig.dir.join("exec.pid");
    let options = ["--detach", "--pid-file", &file.display().to_string()];
    let mut running = start(&mut command(rig, &options, &["id", "wait", "1"]), false)?;
    let (status, errors) = running.status()?;
    holds(&format!("exec returns: {errors}"), status.success() && errors.is_empty())?;
    let inside = running.lines.until("waiting=1")?;
    let pid: i32 = fs::read_to_string(&file)?.parse()?;
    same(
        "the executable",
        fs::read_link(format!("/proc/{pid}/exe"))?.display().to_string().as_str(),
        "/payload",
    )?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    same("the PIDs", numbers, vec![pid.to_string().as_str(), inside.get("pid")])?;
    // Its parent is in no namespace of the container: the intermediate process has exited.
    inside.is("ppid", "0")?;
    sys::kill(pid, libc::SIGUSR1)?;
    same("the payload's output", running.lines.next()?.as_str(), "signal=10")?;
    rig.delete()
}

fn detached_that_fails_leaves_no_pid_file(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    container(rig)?;
    let file = rig.dir.join("exec.pid");
    let options = ["--detach", "--pid-file", &file.display().to_string()];
    rejected(&run(&mut program(rig, &options, &["moonshot"]), "")?, 127, &[])?;
    holds("no pid file", !file.exists())?;
    rig.delete()
}

fn pidfd_is_sent(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun has no such option");
    }
    container(rig)?;
    let (socket, file) = (Socket::new(rig, "pidfd")?, rig.dir.join("exec.pid"));
    let options = ["--pidfd-socket", &socket.path, "--pid-file", &file.display().to_string()];
    let mut running = start(&mut command(rig, &options, &["wait", "1"]), false)?;
    let (pidfd, _) = socket.receive()?;
    running.lines.until("waiting=1")?;
    let pid: i32 = fs::read_to_string(&file)?.parse()?;
    same("the process", pid_of(&pidfd)?, pid)?;
    sys::kill(pid, libc::SIGKILL)?;
    holds("the pidfd is readable after the exit", sys::readable(&pidfd, LIMIT)?)?;
    rig.delete()
}

/// `run.oci.pidfd_receiver`
fn pidfd_of_the_init_is_sent_to_the_socket_of_an_annotation(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let socket = Socket::new(rig, "receiver")?;
    let mut bundle = rig.bundle()?;
    bundle.set("annotations.\"run.oci.pidfd_receiver\"", socket.path.as_str());
    let _running = rig.waiting(&mut bundle)?;
    let (pidfd, _) = socket.receive()?;
    same("the process", pid_of(&pidfd)?, rig.pid()?)?;
    rig.delete()
}

/// The report of `exec` called with an open file at these file descriptors.
fn with_leaks(rig: &Rig, options: &[&str], numbers: &'static [i32]) -> Outcome<crate::report::Report> {
    let mut command = command(rig, options, &["fds"]);
    let file = File::open("/proc/self/status")?;
    sys::before_exec(&mut command, move || {
        numbers.iter().try_for_each(|number| sys::duplicate_to(file.as_raw_fd(), *number))
    });
    Ok(run(&mut command, "")?.success()?.report())
}

fn descriptors_are_three(rig: &mut Rig) -> Outcome {
    container(rig)?;
    report(rig, &[], &["fds"])?.is("fds", "0 1 2")?;
    with_leaks(rig, &[], &[3, 4, 5, 17, 300])?.is("fds", "0 1 2")?;
    rig.delete()
}

fn descriptors_to_preserve(rig: &mut Rig) -> Outcome {
    container(rig)?;
    let inside = with_leaks(rig, &["--preserve-fds", "2"], &[3, 4, 5, 17])?;
    inside.is("fds", "0 1 2 3 4")?;
    contains("the file", inside.get("fd:4"), "/status")?;
    rig.delete()
}

/// They become children of the container init, not of mote.
fn orphans_become_children_of_the_init(rig: &mut Rig) -> Outcome {
    container(rig)?;
    exec(rig, &[], &["fork", "2"])?.success()?;
    let pid = rig.pid()?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    same("children of the init", children.split_whitespace().count(), 2)?;
    rig.delete()
}
