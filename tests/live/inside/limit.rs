//! A caller with low resource limits (getrlimit(2)).

use std::fs;

use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{Output, run};
use crate::json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::sys::caller::{close, set_limit};
use crate::{sys, tests};

tests![
    "inside",
    limit_of_file_size_of_create,
    limit_of_file_size_of_run,
    limit_of_open_files_with_many_mounts,
    limit_of_open_files_of_64_with_hooks,
    limit_of_processes,
    limit_of_core_memlock_and_signals,
    stderr_is_a_pipe_without_reader,
    stderr_is_the_only_open_descriptor,
];

// The numbers of include/uapi/asm-generic/resource.h.
const FSIZE: u32 = 1;
const CORE: u32 = 4;
const NPROC: u32 = 6;
const NOFILE: u32 = 7;
const MEMLOCK: u32 = 8;
const SIGPENDING: u32 = 11;
const MSGQUEUE: u32 = 12;

/// Runs a command of the rig with limits, soft and hard.
fn limited(rig: &Rig, words: &[&str], limits: &'static [(u32, u64)]) -> Outcome<Output> {
    let mut command = rig.command(words);
    sys::before_exec(&mut command, move || {
        limits.iter().try_for_each(|(kind, most)| set_limit(*kind, *most, *most))
    });
    run(&mut command, "")
}

/// The kernel sends SIGXFSZ, whose default action would kill mote with the container half created. The standard error is
/// a pipe, which has no such limit.
fn file_size(rig: &Rig, verb: &str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the error messages of mote");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let config = fs::metadata(bundle.dir.join("config.json"))?.len();
    for (most, word) in [(0, "config.json"), (config + 1, "memfd"), (64 << 10, "memfd")] {
        let mut command = rig.command(&[verb, "--bundle", &dir, &rig.id]);
        let (reader, writer) = std::io::pipe()?;
        sys::before_exec(&mut command, move || set_limit(FSIZE, most, most));
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(writer);
        let status = command.status()?;
        drop(command);
        let text = std::io::read_to_string(reader)?;
        same("exit code", status.code(), Some(1))?;
        same("lines of the error", text.lines().count(), 1)?;
        contains("the error", &text, word)?;
        contains("the error", &text, "file too large")?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn limit_of_file_size_of_create(rig: &mut Rig) -> Outcome {
    file_size(rig, "create")
}

fn limit_of_file_size_of_run(rig: &mut Rig) -> Outcome {
    file_size(rig, "run")
}

/// More bind mounts and protected paths than file descriptors. The lowest limit with which a container without them
/// starts is not far below.
fn limit_of_open_files_with_many_mounts(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let source = rig.dir.join("source");
    fs::write(&source, "here")?;
    for number in 0..60 {
        bundle.bind(&source, &format!("/etc/bound{number}"), &["bind", "ro"]);
    }
    for number in 0..30 {
        bundle.set("linux.readonlyPaths[+]", format!("/etc/bound{number}"));
        bundle.set("linux.maskedPaths[+]", format!("/etc/bound{}", number + 30));
    }
    bundle.verbs(&["read", "/etc/bound0", "read", "/etc/bound29", "read", "/etc/bound59", "fds"]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let output = limited(rig, &["run", "--bundle", &dir, &rig.id], &[(NOFILE, 50)])?;
    let inside = output.success()?.report();
    inside.is("read:/etc/bound0", "here")?;
    inside.is("read:/etc/bound29", "here")?;
    inside.is("read:/etc/bound59", "")?;
    inside.is("fds", "0 1 2")
}

fn limit_of_open_files_of_64_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/log", "")?;
    let log = bundle.host_path("log").display().to_string();
    for point in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let args = vec!["payload", "into", log.as_str(), "say", point];
        let program = rig.suite.payload.display().to_string();
        bundle.set(&format!("hooks.{point}"), json!([{"path": program, "args": args}]));
    }
    for number in 0..60 {
        bundle.bind(&rig.dir, &format!("/etc/bound{number}"), &["rbind"]);
    }
    bundle.verbs(&["say", "ran"]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let output = limited(rig, &["run", "--bundle", &dir, &rig.id], &[(NOFILE, 64)])?;
    output.success()?.report().is("say", "ran")?;
    let written = fs::read_to_string(log)?;
    let wanted = "say=prestart\nsay=createRuntime\nsay=createContainer\nsay=poststart\nsay=poststop\n";
    same("the hooks", written.as_str(), wanted)
}

/// The limit counts all processes of the user. Root is exempt.
fn limit_of_processes(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "ran"]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let output = limited(rig, &["run", "--bundle", &dir, &rig.id], &[(NPROC, 0)])?;
    output.success()?.report().is("say", "ran")?;
    as_ordinary_user(rig)?;
    rig.state = rig.dir.join("other");
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let output = limited(rig, &["run", "--bundle", &dir, &rig.id], &[(NPROC, 0)])?;
    rig.failure(&output, &["clone3", "resource temporarily unavailable"])?;
    rig.nothing_left()
}

fn limit_of_core_memlock_and_signals(rig: &mut Rig) -> Outcome {
    const NONE: &[(u32, u64)] = &[(CORE, 0), (MEMLOCK, 0), (SIGPENDING, 0), (MSGQUEUE, 0)];
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["limits"]);
    bundle.write()?;
    let dir = bundle.dir.display().to_string();
    let inside = limited(rig, &["run", "--bundle", &dir, &rig.id], NONE)?.success()?.report();
    ["CORE", "MEMLOCK", "SIGPENDING", "MSGQUEUE"]
        .iter()
        .try_for_each(|name| inside.is(&format!("limit:{name}"), "0 0"))
}

/// SIGPIPE would kill mote when it reports a warning: after the container was created, so that its caller would take it
/// for failed.
fn stderr_is_a_pipe_without_reader(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the warnings of mote");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    bundle.set("annotations.\"run.oci.unknown\"", "1");
    rig.globals.extend(["--log-level", "warning"].map(String::from));
    let mut command = rig.launch("create", &bundle, &[])?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(writer);
    let status = command.status()?;
    same("exit code", status.code(), Some(0))?;
    rig.status_is("created")?;
    rig.delete()
}

fn stderr_is_the_only_open_descriptor(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.args", json!(["/missing"]));
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || {
        close(0);
        close(1);
        Ok(())
    });
    let output = run(&mut command, "")?;
    same("the standard output", output.stdout.as_str(), "")?;
    contains("the error", &output.stderr, "/missing")?;
    same("lines of the error", output.stderr.lines().count(), 1)?;
    rig.nothing_left()
}
