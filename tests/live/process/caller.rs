//! A caller that has left the runtime signals ignored, low limits, closed descriptors, a strange umask: what the
//! runtime needs it has, and the container gets what a program expects.

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
    caller_ignores_signals_of_exec,
    caller_ignores_signals_with_hooks,
    caller_ignores_signals_of_create_and_delete,
    caller_has_no_standard_descriptors,
    caller_has_no_standard_descriptors_and_no_null,
    caller_allows_few_open_files,
    caller_allows_too_few_open_files,
    caller_limits_open_files_of_exec,
    caller_limits_open_files_of_hooks,
    caller_has_a_umask_that_shuts_out_itself,
    caller_has_a_umask_for_its_own_files,
    caller_has_a_umask_for_cgroups,
    caller_has_priorities,
    caller_keeps_its_score,
    caller_keeps_its_score_of_exec,
];

const NOFILE: u32 = 7;

/// Both limits of open files that this process has.
fn open_files() -> Outcome<(u64, u64)> {
    Ok(sys::limit(NOFILE)?)
}

/// A command whose process does something to itself first.
fn after(mut command: Command, act: impl Fn() + Send + Sync + 'static) -> Outcome<Output> {
    sys::before_exec(&mut command, move || {
        act();
        Ok(())
    });
    run(&mut command, "")
}

fn caller_ignores_signals(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["signals", "exit", "9"]);
    let output = after(rig.launch("run", &bundle, &[])?, ignore_and_block_signals)?;
    same("exit code", output.code(), 9)?;
    output.report().is("ignored", "")?;
    output.report().is("blocked", "")
}

fn caller_ignores_signals_of_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let command = rig.command(&["exec", &rig.id, "/payload", "signals", "exit", "9"]);
    let output = after(command, ignore_and_block_signals)?;
    same("exit code", output.code(), 9)?;
    output.report().is("ignored", "")?;
    rig.delete()
}

/// A bundle whose hooks, all on the host but for `startContainer`, say what they were given.
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

/// What they said under a key.
fn said(bundle: &Bundle, key: &str) -> Outcome<Vec<String>> {
    let report = crate::report::Report::parse(&fs::read_to_string(bundle.host_path("log"))?);
    Ok(report.all(key).into_iter().map(String::from).collect())
}

fn caller_ignores_signals_with_hooks(rig: &mut Rig) -> Outcome {
    let mut bundle = hooked(rig, &crate::hooks::POINTS, "signals")?;
    bundle.verbs(&[]);
    after(rig.launch("run", &bundle, &[])?, ignore_and_block_signals)?.success()?;
    for key in ["ignored", "blocked"] {
        same(key, said(&bundle, key)?, vec![String::new(); 6])?;
    }
    Ok(())
}

/// Each of the commands has children to wait for.
fn caller_ignores_signals_of_create_and_delete(rig: &mut Rig) -> Outcome {
    let mut bundle = hooked(rig, &["prestart", "poststart", "poststop"], "signals")?;
    bundle.verbs(&["wait", "1"]);
    after(rig.launch("create", &bundle, &[])?, ignore_and_block_signals)?.success()?;
    after(rig.command(&["start", &rig.id]), ignore_and_block_signals)?.success()?;
    after(rig.command(&["delete", "--force", &rig.id]), ignore_and_block_signals)?.success()?;
    same("ignored", said(&bundle, "ignored")?, vec![String::new(); 3])?;
    rig.nothing_left()
}

fn close_all() {
    (0..3).for_each(close);
}

fn caller_has_no_standard_descriptors(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["into", "/tmp/said", "fds"]);
    same("exit code", after(rig.launch("run", &bundle, &[])?, close_all)?.code(), 0)?;
    let inside = crate::report::Report::parse(&fs::read_to_string(bundle.host_path("tmp/said"))?);
    for number in ["0", "2"] {
        inside.is(&format!("fd:{number}"), "/dev/null")?;
    }
    inside.is("fds", "0 1 2")
}

/// What is opened next would be the container's standard input.
fn caller_has_no_standard_descriptors_and_no_null(rig: &mut Rig) -> Outcome {
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

/// A low soft limit is for select(2), and not meant for the runtime; what runs inside gets it as it is.
fn caller_allows_few_open_files(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["limits"]);
    let output = after(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, 3, hard)))?;
    output.success()?.report().is("limit:NOFILE", &format!("3 {hard}"))
}

/// However few they are: it works, or one line says why not and nothing is left.
fn caller_allows_too_few_open_files(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["say", "runs"]);
    bundle.set("linux.resources.pids.limit", 100i64);
    for most in 3..100 {
        let output = after(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, most, most)))?;
        rig.nothing_left()?;
        if output.code() == 0 {
            return output.success()?.report().is("say", "runs");
        }
        output.failure(&["too many open files"])?;
    }
    fail("it does not work at all")
}

fn caller_limits_open_files_of_exec(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let command = rig.command(&["exec", &rig.id, "/payload", "limits"]);
    let output = after(command, move || drop(set_limit(NOFILE, 4, hard)))?;
    output.success()?.report().is("limit:NOFILE", &format!("4 {hard}"))?;
    rig.delete()
}

/// On the host they have the caller's, inside the container's.
fn caller_limits_open_files_of_hooks(rig: &mut Rig) -> Outcome {
    let (_, hard) = open_files()?;
    let mut bundle = hooked(rig, &crate::hooks::POINTS, "limits")?;
    bundle.set("process.rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 60i64, "hard": 70i64}]));
    bundle.verbs(&[]);
    after(rig.launch("run", &bundle, &[])?, move || drop(set_limit(NOFILE, 50, hard)))?.success()?;
    let (callers, its) = (format!("50 {hard}"), "60 70".to_string());
    let all = [&callers, &callers, &callers, &its, &callers, &callers].map(String::clone);
    same("the limits", said(&bundle, "limit:NOFILE")?, all.to_vec())
}

/// An ordinary user who could not enter a directory that was made under such a umask.
fn caller_has_a_umask_that_shuts_out_itself(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let mut bundle = crate::rootless::user_namespace_bundle(rig)?;
    bundle.verbs(&["umask"]);
    let output = after(rig.launch("run", &bundle, &[])?, || set_umask(0o777))?;
    output.success()?.report().is("umask", "0022")
}

fn caller_has_a_umask_for_its_own_files(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["umask"]);
    let (pid_file, log) = (rig.dir.join("pid"), rig.dir.join("log"));
    let (pid_name, log_name) = (pid_file.display().to_string(), log.display().to_string());
    rig.globals.extend(["--log".to_string(), log_name]);
    let command = rig.launch("run", &bundle, &["--pid-file", &pid_name])?;
    after(command, || set_umask(0o077))?.success()?.report().is("umask", "0022")?;
    for path in [&pid_file, &log] {
        same("its mode", fs::metadata(path)?.mode() & 0o777, 0o600)?;
    }
    Ok(())
}

/// Whoever is in the container, or watches it, may look at its cgroup.
fn caller_has_a_umask_for_cgroups(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["wait", "1"]);
    let command = rig.launch("create", &bundle, &[])?;
    after(command, || set_umask(0o077))?.success()?;
    let made = crate::cleanup::cgroups(&rig.cgroup);
    holds("there are cgroups", !made.is_empty())?;
    for path in made {
        same("its mode", fs::metadata(path)?.mode() & 0o777, 0o755)?;
    }
    rig.delete()
}

/// `nice`, `ionice`: the container goes on with them.
fn caller_has_priorities(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["schedule"]);
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, || set_nice(13).and_then(|()| set_io_priority(0x6000)));
    run(&mut command, "")?.success()?.report().is("schedule", "0 13 0x6000 0x0")
}

/// The container's score is not that of the hooks on the host, nor of the runtime that waits.
fn caller_keeps_its_score(rig: &mut Rig) -> Outcome {
    let before = fs::read_to_string("/proc/self/oom_score_adj")?.trim().to_string();
    let mut bundle = hooked(rig, &["prestart", "poststart", "poststop"], "oom")?;
    bundle.set("process.oomScoreAdj", 777i64);
    bundle.verbs(&["oom", "wait", "1"]);
    let mut running = rig.spawn(&bundle, &[])?;
    running.lines.until("waiting=1")?.is("oom", "777")?;
    let own = fs::read_to_string(format!("/proc/{}/oom_score_adj", running.pid()))?;
    same("of the runtime", own.trim(), before.as_str())?;
    running.signal(libc::SIGTERM)?;
    running.finish()?.success()?;
    same("of the hooks", said(&bundle, "oom")?, vec![before; 3])
}

/// An ordinary user's, who by then is non-dumpable, so that its files in procfs are root's.
fn caller_keeps_its_score_of_exec(rig: &mut Rig) -> Outcome {
    let before = fs::read_to_string("/proc/self/oom_score_adj")?.trim().to_string();
    as_ordinary_user(rig)?;
    let mut bundle = crate::rootless::user_namespace_bundle(rig)?;
    bundle.set("process.oomScoreAdj", 777i64);
    let _running = rig.waiting(&mut bundle)?;
    let mut command = rig.command(&["exec", &rig.id, "/payload", "oom", "wait", "1"]);
    let mut exec = crate::command::start(&mut command, true)?;
    exec.lines.until("waiting=1")?.is("oom", "777")?;
    let own = fs::read_to_string(format!("/proc/{}/oom_score_adj", exec.pid()))?;
    same("of the runtime", own.trim(), before.as_str())?;
    exec.signal(libc::SIGTERM)?;
    exec.finish()?.success()?;
    rig.delete()
}
