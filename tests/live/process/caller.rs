//! A caller with ignored signals, low limits, closed file descriptors or an unusual umask: the runtime works
//! nevertheless, and the container gets the defaults that a program expects.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, fail, holds, same};
use crate::command::{Output, run};
use crate::json;
use crate::rig::Rig;
use crate::rootless::as_ordinary_user;
use crate::sys::caller::{close, ignore_and_block_signals, set_io_priority, set_limit, set_nice, set_umask};
use crate::{sys, tests};

tests![
    "process",
    caller_ignores_signals,
    caller_of_exec_ignores_signals,
    caller_ignores_signals_with_hooks,
    caller_of_create_and_delete_ignores_signals,
    caller_has_no_standard_descriptors,
    caller_has_no_standard_descriptors_and_no_dev_null,
    caller_has_a_low_limit_of_open_files,
    caller_has_too_low_a_limit_of_open_files,
    caller_of_exec_has_a_low_limit_of_open_files,
    caller_has_a_low_limit_of_open_files_with_hooks,
    caller_has_umask_777,
    caller_umask_applies_to_pid_file_and_log,
    caller_umask_does_not_apply_to_cgroups,
    caller_priorities_are_inherited,
    oom_score_of_the_caller_is_kept,
    oom_score_of_the_caller_of_exec_is_kept,
];

const NOFILE: u32 = 7;

/// RLIMIT_NOFILE of this process, soft and hard.
fn open_files() -> Outcome<(u64, u64)> {
    Ok(sys::limit(NOFILE)?)
}

/// Runs a command that first changes attributes of its own process.
fn after_change(mut command: Command, act: impl Fn() + Send + Sync + 'static) -> Outcome<Output> {
    sys::before_exec(&mut command, move || {
        act();
        Ok(())
    });
    run(&mut command, "")
}

fn caller_ignores_signals(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["signals", "exit", "9"]);
    let output = after_change(rig.launch("run", &bundle, &[])?, ignore_and_block_signals)?;
    same("exit code", output.code(), 9)?;
    output.report().is("ignored", "")?;
    output.report().is("blocked", "")
}

fn caller_of_exec_ignores_signals(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let command = rig.command(&["exec", &rig.id, "/payload", "signals", "exit", "9"]);
    let output = after_change(command, ignore_and_block_signals)?;
    same("exit code", output.code(), 9)?;
    output.report().is("ignored", "")?;
    rig.delete()
}

/// A bundle with hooks that report these attributes; all but `startContainer` run on the host.
fn hooked(rig: &Rig, points: &[&str], verb: &str) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.file("/log", "")?;
    for point in points {
        let (path, log) = match *point {
            "startContainer" => ("/payload".to_string(), "/log".to_string()),
            _ => (rig.suite.payload.display().to_string(), bundle.host_path("log").display().to_string()),
        };
        let args = vec!["payload", "into", log.as_str(), verb];
        bundle.set(&format!("hooks.{point}"), json!([{"path": path, "args": args}]));
    }
    Ok(bundle)
}

/// The values of a key in the reports of the hooks.
fn reported(bundle: &Bundle, key: &str) -> Outcome<Vec<String>> {
    let report = crate::report::Report::parse(&fs::read_to_string(bundle.host_path("log"))?);
    Ok(report.all(key).into_iter().map(String::from).collect())
}

fn caller_ignores_signals_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = hooked(rig, &crate::hooks::POINTS, "signals")?;
    bundle.verbs(&[]);
    after_change(rig.launch("run", &bundle, &[])?, ignore_and_block_signals)?.success()?;
    for key in ["ignored", "blocked"] {
        same(key, reported(&bundle, key)?, vec![String::new(); 6])?;
    }
    Ok(())
}

/// Each command waits for children, which SIGCHLD reports.
fn caller_of_create_and_delete_ignores_signals(rig: &mut Rig) -> Outcome {
    let mut bundle = hooked(rig, &["prestart", "poststart", "poststop"], "signals")?;
    bundle.verbs(&["wait", "1"]);
    after_change(rig.launch("create", &bundle, &[])?, ignore_and_block_signals)?.success()?;
    after_change(rig.command(&["start", &rig.id]), ignore_and_block_signals)?.success()?;
    after_change(rig.command(&["delete", "--force", &rig.id]), ignore_and_block_signals)?.success()?;
    same("ignored", reported(&bundle, "ignored")?, vec![String::new(); 3])?;
    rig.nothing_left()
}

fn close_all() {
    (0..3).for_each(close);
}

fn caller_has_no_standard_descriptors(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["into", "/tmp/reported", "fds"]);
    same("exit code", after_change(rig.launch("run", &bundle, &[])?, close_all)?.code(), 0)?;
    let inside = crate::report::Report::parse(&fs::read_to_string(bundle.host_path("tmp/reported"))?);
    for number in ["0", "2"] {
        inside.is(&format!("fd:{number}"), "/dev/null")?;
    }
    inside.is("fds", "0 1 2")
}

/// The next file that is opened would become the container's standard input.
fn caller_has_no_standard_descriptors_and_no_dev_null(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["fds"]);
    let nothing = rig.dir.join("nothing");
    fs::create_dir(&nothing)?;
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, move || {
        sys::bind_over(&nothing, Path::new("/dev"))?;
        close(0);
        Ok(())
    });
    rig.failure(&run(&mut command, "")?, &["standard descriptor", "/dev/null"])?;
    rig.nothing_left()
}

/// A low soft limit is meant for programs that use select(2), such as the container's, not for the runtime.
fn caller_has_a_low_limit_of_open_files(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["limits"]);
    let output = after_change(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, 3, hard)))?;
    output.success()?.report().is("limit:NOFILE", &format!("3 {hard}"))
}

/// For each limit, `run` works, or fails with one line and leaves nothing behind.
fn caller_has_too_low_a_limit_of_open_files(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "runs"]);
    bundle.set("linux.resources.pids.limit", 100i64);
    for most in 3..100 {
        let output =
            after_change(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, most, most)))?;
        rig.nothing_left()?;
        if output.code() == 0 {
            return output.success()?.report().is("say", "runs");
        }
        output.failure(&["too many open files"])?;
    }
    fail("it fails even with 100 open files")
}

fn caller_of_exec_has_a_low_limit_of_open_files(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let command = rig.command(&["exec", &rig.id, "/payload", "limits"]);
    let output = after_change(command, move || drop(set_limit(NOFILE, 4, hard)))?;
    output.success()?.report().is("limit:NOFILE", &format!("4 {hard}"))?;
    rig.delete()
}

/// Hooks on the host have the caller's limit, those in the container the container's.
fn caller_has_a_low_limit_of_open_files_with_hooks(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = hooked(rig, &crate::hooks::POINTS, "limits")?;
    bundle.set("process.rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 60i64, "hard": 70i64}]));
    bundle.verbs(&[]);
    after_change(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, 50, hard)))?.success()?;
    let (callers, its) = (format!("50 {hard}"), "60 70".to_string());
    let all = [&callers, &callers, &callers, &its, &callers, &callers].map(String::clone);
    same("the limits", reported(&bundle, "limit:NOFILE")?, all.to_vec())
}

/// With this umask, an ordinary user could not enter a directory that it creates.
fn caller_has_umask_777(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = crate::rootless::user_namespace_bundle(rig)?;
    bundle.verbs(&["umask"]);
    let output = after_change(rig.launch("run", &bundle, &[])?, || set_umask(0o777))?;
    output.success()?.report().is("umask", "0022")
}

fn caller_umask_applies_to_pid_file_and_log(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["umask"]);
    let (pid_file, log) = (rig.dir.join("pid"), rig.dir.join("log"));
    let (pid_name, log_name) = (pid_file.display().to_string(), log.display().to_string());
    rig.globals.extend(["--log".to_string(), log_name]);
    let command = rig.launch("run", &bundle, &["--pid-file", &pid_name])?;
    after_change(command, || set_umask(0o077))?.success()?.report().is("umask", "0022")?;
    for path in [&pid_file, &log] {
        same("the mode", fs::metadata(path)?.mode() & 0o777, 0o600)?;
    }
    Ok(())
}

/// Processes of the container, and monitoring on the host, may read the cgroup.
fn caller_umask_does_not_apply_to_cgroups(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let command = rig.launch("create", &bundle, &[])?;
    after_change(command, || set_umask(0o077))?.success()?;
    let made = crate::cleanup::cgroups(&rig.cgroup);
    holds("cgroups exist", !made.is_empty())?;
    for path in made {
        same("the mode", fs::metadata(path)?.mode() & 0o777, 0o755)?;
    }
    rig.delete()
}

/// nice(1) and ionice(1) apply to the container.
fn caller_priorities_are_inherited(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["schedule"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || set_nice(13).and_then(|()| set_io_priority(0x6000)));
    run(&mut command, "")?.success()?.report().is("schedule", "0 13 0x6000 0x0")
}

/// The score of the container applies neither to hooks on the host nor to the waiting runtime.
fn oom_score_of_the_caller_is_kept(rig: &mut Rig) -> Outcome {
    let before = fs::read_to_string("/proc/self/oom_score_adj")?.trim().to_string();
    let mut bundle = hooked(rig, &["prestart", "poststart", "poststop"], "oom")?;
    bundle.set("process.oomScoreAdj", 777i64);
    bundle.verbs(&["oom", "wait", "1"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?.is("oom", "777")?;
    let own = fs::read_to_string(format!("/proc/{}/oom_score_adj", running.pid()))?;
    same("oom_score_adj of the runtime", own.trim(), before.as_str())?;
    running.signal(libc::SIGTERM)?;
    running.finish()?.success()?;
    same("oom_score_adj of the hooks", reported(&bundle, "oom")?, vec![before; 3])
}

/// The runtime of an ordinary user is non-dumpable by then, and its files in /proc belong to root.
fn oom_score_of_the_caller_of_exec_is_kept(rig: &mut Rig) -> Outcome {
    let before = fs::read_to_string("/proc/self/oom_score_adj")?.trim().to_string();
    as_ordinary_user(rig)?;
    let mut bundle = crate::rootless::user_namespace_bundle(rig)?;
    bundle.set("process.oomScoreAdj", 777i64);
    let _running = rig.waiting(&mut bundle)?;
    let mut command = rig.command(&["exec", &rig.id, "/payload", "oom", "wait", "1"]);
    let mut exec = crate::command::start(&mut command, true)?;
    exec.lines.until("waiting=1")?.is("oom", "777")?;
    let own = fs::read_to_string(format!("/proc/{}/oom_score_adj", exec.pid()))?;
    same("oom_score_adj of the runtime", own.trim(), before.as_str())?;
    exec.signal(libc::SIGTERM)?;
    exec.finish()?.success()?;
    rig.delete()
}
