//! Filters that deny system calls which mote itself makes after loading them: rejected before anything is set up if
//! that is certain.

use std::collections::BTreeSet;

use super::{
    Agent, KILLS, SEND, SETGROUPS, SETRESGID, SETRESUID, answer_all, docker, filtered, profile, rule,
};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, lacks, same, skip_allowed};
use crate::command::{Output, run, start};
use crate::json;
use crate::rig::Rig;
use crate::sys::seccomp::Answer;
use crate::tests;

tests![
    "filter",
    denied_execve_is_rejected,
    filter_that_allows_nothing_is_rejected,
    calls_with_errno_0_are_rejected,
    denied_by_arguments_is_rejected,
    denied_call_of_the_wait_for_start_is_rejected,
    denied_call_is_rejected_by_exec,
    bpf_program_of_an_annotation_is_rejected,
    rejected_calls_are_those_made_by_run,
    rejected_calls_are_those_made_by_create_and_start,
    rejected_calls_are_those_made_by_exec,
    filter_that_may_allow_execve_is_accepted,
    profile_of_docker_logs_no_warning,
    filter_that_denies_the_error_message_logs_a_warning,
];

/// Checks that `run` and `create` reject the filter before the first hook.
fn rejected(rig: &Rig, bundle: &mut Bundle, words: &[&str]) -> Outcome {
    bundle.set("hooks.prestart", json!([{"path": "/none/at/all"}]));
    for verb in ["run", "create"] {
        run(&mut rig.launch(verb, bundle, &[])?, "")?.failure(words)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn denied_execve_is_rejected(rig: &mut Rig) -> Outcome {
    for action in KILLS.into_iter().chain(["SCMP_ACT_ERRNO"]) {
        for no_new_privileges in [false, true] {
            let rules = vec![rule("SCMP_ACT_ERRNO", &["munlockall"]), rule(action, &["execve"])];
            let mut bundle = filtered(rig, no_new_privileges, profile(rules))?;
            rejected(rig, &mut bundle, &[&format!("linux.seccomp: syscalls[1]: {action} denies execve, ")])?;
        }
    }
    Ok(())
}

/// As in public bug reports.
fn filter_that_allows_nothing_is_rejected(rig: &mut Rig) -> Outcome {
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL"] {
        let section = json!({"defaultAction": action});
        let mut bundle = filtered(rig, true, section.clone())?;
        let words = format!("linux.seccomp: defaultAction: {action} denies execve, ");
        rejected(rig, &mut bundle, &[&words])?;
        let mut bundle = filtered(rig, false, section)?;
        let words = format!("linux.seccomp: defaultAction: {action} denies prctl, ");
        rejected(rig, &mut bundle, &[&words, "setresuid", "execve", "with process.noNewPrivileges"])?;
    }
    Ok(())
}

/// SCMP_ACT_ERRNO with errno 0 makes a call return success without executing it. With no_new_privs, mote makes these
/// calls before the filter is loaded.
fn calls_with_errno_0_are_rejected(rig: &mut Rig) -> Outcome {
    for call in [SETRESUID, SETRESGID, SETGROUPS, "capset", "prctl", "umask", "rt_sigprocmask"] {
        let mut nothing = rule("SCMP_ACT_ERRNO", &[call]);
        nothing.set("errnoRet", 0i64);
        let mut bundle = filtered(rig, false, profile(vec![nothing]))?;
        // setgroups(2) is called only if there are additional groups.
        bundle.set("process.user", json!({"uid": 7i64, "gid": 8i64, "additionalGids": [9i64]}));
        rejected(rig, &mut bundle, &[&format!("SCMP_ACT_ERRNO denies {call}, ")])?;
        bundle.remove("hooks");
        bundle.set("process.noNewPrivileges", true);
        rig.report(&mut bundle, &["id"])?.is("uid", "7 7 7")?;
    }
    Ok(())
}

/// Where rustix makes other calls (socketcall(2)), too: the wait is a list of system calls.
fn denied_call_of_the_wait_for_start_is_rejected(rig: &mut Rig) -> Outcome {
    for call in ["accept4", "recvfrom"] {
        let bundle = filtered(rig, false, profile(vec![rule("SCMP_ACT_ERRNO", &[call])]))?;
        let words = format!("linux.seccomp: syscalls[0]: SCMP_ACT_ERRNO denies {call}, ");
        run(&mut rig.launch("create", &bundle, &[])?, "")?.failure(&[&words])?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn denied_by_arguments_is_rejected(rig: &mut Rig) -> Outcome {
    // PR_SET_NAME, which mote does not use, and PR_SET_KEEPCAPS.
    for (call, value, is_called) in
        [("prctl", 15, false), ("prctl", 8, true), (SETRESUID, 8, false), (SETRESUID, 7, true)]
    {
        let mut one = rule("SCMP_ACT_KILL", &[call]);
        one.set("args", json!([{"index": 0i64, "value": (i64::from(value)), "op": "SCMP_CMP_EQ"}]));
        let mut bundle = filtered(rig, false, profile(vec![one]))?;
        bundle.set("process.user", json!({"uid": 7i64, "gid": 8i64}));
        match is_called {
            true => rejected(rig, &mut bundle, &[&format!("syscalls[0]: SCMP_ACT_KILL denies {call}, ")])?,
            false => rig.report(&mut bundle, &["id"])?.is("uid", "7 7 7")?,
        }
    }
    Ok(())
}

/// An exec process without no_new_privs, in a container with it.
fn denied_call_is_rejected_by_exec(rig: &mut Rig) -> Outcome {
    let mut bundle = filtered(rig, true, profile(vec![rule("SCMP_ACT_ERRNO", &["capset", "munlockall"])]))?;
    let _running = rig.waiting(&mut bundle)?;
    let process = rig.dir.join("process.json");
    let word = json!({"args": ["/payload", "say", "ran"], "cwd": "/", "noNewPrivileges": false});
    std::fs::write(&process, word.to_string())?;
    let output = rig.mote(&["exec", "--process", &process.display().to_string(), &rig.id])?;
    same("exit code", output.code(), 255)?;
    contains("the error", &output.stderr, "linux.seccomp: syscalls[0]: SCMP_ACT_ERRNO denies capset, ")?;
    let output = rig.mote(&["exec", "--no-new-privs", &rig.id, "/payload", "say", "ran"])?.success()?;
    output.report().is("say", "ran")?;
    rig.delete()
}

/// `ld [4]; jeq #AUDIT_ARCH_PPC64, 1, 0; ret KILL_PROCESS; ret ALLOW`: for another architecture only.
fn bpf_program_of_an_annotation_is_rejected(rig: &mut Rig) -> Outcome {
    if !cfg!(target_endian = "little") {
        return skip_allowed("the program is for the other byte order");
    }
    for no_new_privileges in [false, true] {
        let mut bundle = filtered(rig, no_new_privileges, json!({"defaultAction": "SCMP_ACT_ALLOW"}))?;
        let program = "IAAAAAQAAAAVAAEAFQAAgAYAAAAAAACABgAAAAAA/38=";
        bundle.set("annotations.\"run.oci.seccomp_bpf_data\"", program);
        let words = ["annotations.run.oci.seccomp_bpf_data: the filter denies ", "execve, which"];
        rejected(rig, &mut bundle, &words)?;
    }
    Ok(())
}

/// The calls that mote makes after a filter is loaded, by name: on any CPU, on CPUs of this width, and on this CPU.
const CALLS: [(&str, libc::c_long); 13] = [
    ("accept4", libc::SYS_accept4),
    ("capset", libc::SYS_capset),
    ("close", libc::SYS_close),
    ("execve", libc::SYS_execve),
    ("faccessat", libc::SYS_faccessat),
    ("listen", libc::SYS_listen),
    ("openat", libc::SYS_openat),
    ("prctl", libc::SYS_prctl),
    ("recvfrom", libc::SYS_recvfrom),
    ("rt_sigaction", libc::SYS_rt_sigaction),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
    ("sendto", libc::SYS_sendto),
    ("umask", libc::SYS_umask),
];
#[cfg(target_pointer_width = "64")]
const OF_WIDTH: [(&str, libc::c_long); 4] = [
    ("newfstatat", libc::SYS_newfstatat),
    ("setgroups", libc::SYS_setgroups),
    ("setresgid", libc::SYS_setresgid),
    ("setresuid", libc::SYS_setresuid),
];
#[cfg(target_pointer_width = "32")]
const OF_WIDTH: [(&str, libc::c_long); 4] = [
    ("statx", libc::SYS_statx),
    ("setgroups32", libc::SYS_setgroups32),
    ("setresgid32", libc::SYS_setresgid32),
    ("setresuid32", libc::SYS_setresuid32),
];
#[cfg(target_arch = "x86")]
const OF_CPU: &[(&str, libc::c_long)] = &[("socketcall", libc::SYS_socketcall)];
#[cfg(any(target_arch = "arm", target_arch = "powerpc64"))]
const OF_CPU: &[(&str, libc::c_long)] = &[("send", libc::SYS_send), ("recv", libc::SYS_recv)];
#[cfg(not(any(target_arch = "x86", target_arch = "arm", target_arch = "powerpc64")))]
const OF_CPU: &[(&str, libc::c_long)] = &[];

/// The names of the calls up to the first execve.
fn called(calls: &[i32]) -> BTreeSet<String> {
    let name = |number: &i32| {
        let mut all = CALLS.iter().chain(&OF_WIDTH).chain(OF_CPU);
        let known = all.find(|(_, known)| *known == libc::c_long::from(*number));
        known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_string())
    };
    let execve = calls.iter().position(|call| libc::c_long::from(*call) == libc::SYS_execve);
    calls.iter().take(execve.map_or(calls.len(), |last| last + 1)).map(name).collect()
}

/// The calls in the error message for a filter that denies everything.
fn named_in_the_error(output: &Output) -> BTreeSet<String> {
    let text = output.stderr.split(" denies ").nth(1).unwrap_or_default();
    let names = text.split(", which").next().unwrap_or_default().replace(" and ", ", ");
    names.split(", ").map(str::to_string).collect()
}

/// A container with a notification for every call, and with all attributes for which mote makes a call.
fn bundle_with_agent(rig: &Rig, agent: &Agent, no_new_privileges: bool) -> Outcome<Bundle> {
    let section = json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": (agent.path.as_str())});
    let mut bundle = filtered(rig, no_new_privileges, section)?;
    bundle.set("process.user", json!({"uid": 7i64, "gid": 8i64, "additionalGids": [9i64]}));
    Ok(bundle)
}

fn calls_in_the_error(rig: &Rig, bundle: &mut Bundle, verb: &str) -> Outcome<BTreeSet<String>> {
    bundle.set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_KILL_PROCESS"}));
    Ok(named_in_the_error(&run(&mut rig.launch(verb, bundle, &[])?, "")?))
}

fn rejected_calls_are_those_made_by_run(rig: &mut Rig) -> Outcome {
    for no_new_privileges in [false, true] {
        let agent = Agent::new(rig)?;
        let mut bundle = bundle_with_agent(rig, &agent, no_new_privileges)?;
        let running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
        let (listener, _) = agent.take()?;
        let calls = answer_all(&listener, |_| Answer::Continue)?;
        running.finish()?.success()?;
        same("calls in the error message", calls_in_the_error(rig, &mut bundle, "run")?, called(&calls))?;
        std::fs::remove_file(&agent.path)?;
    }
    rig.nothing_left()
}

fn rejected_calls_are_those_made_by_create_and_start(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, false)?;
    let mut created = start(&mut rig.launch("create", &bundle, &[])?, false)?;
    let (listener, _) = agent.take()?;
    let answering = std::thread::spawn(move || answer_all(&listener, |_| Answer::Continue).ok());
    same("create", created.status()?.0.code(), Some(0))?;
    rig.mote(&["start", &rig.id])?.success()?;
    created.lines.until("say=ran")?;
    let Ok(Some(calls)) = answering.join() else { return crate::check::fail("no answers") };
    rig.delete()?;
    same("calls in the error message", calls_in_the_error(rig, &mut bundle, "create")?, called(&calls))
}

fn rejected_calls_are_those_made_by_exec(rig: &mut Rig) -> Outcome {
    let agent = Agent::new(rig)?;
    let mut bundle = bundle_with_agent(rig, &agent, false)?;
    bundle.verbs(&["wait", "1"]);
    let mut running = start(&mut rig.launch("run", &bundle, &[])?, false)?;
    let (first, _) = agent.take()?;
    let answering = std::thread::spawn(move || answer_all(&first, |_| Answer::Continue).ok());
    running.lines.until("waiting=1")?;
    let joined = start(&mut rig.command(&["exec", &rig.id, "/payload", "say", "ran"]), false)?;
    let (listener, _) = agent.take()?;
    let calls = answer_all(&listener, |_| Answer::Continue)?;
    joined.finish()?.success()?;
    rig.delete()?;
    same("answers", answering.join().is_ok(), true)?;
    running.finish()?;
    // Except for the call that only a container init makes.
    let mut named = calls_in_the_error(rig, &mut bundle, "run")?;
    named.remove("sendto");
    named.remove("send");
    same("calls in the error message", named, called(&calls))
}

/// A tracer could allow the call; without one, the kernel returns ENOSYS.
fn filter_that_may_allow_execve_is_accepted(rig: &mut Rig) -> Outcome {
    let bundle = filtered(rig, true, profile(vec![rule("SCMP_ACT_TRACE", &["execve"])]))?;
    rig.rejected(&bundle, &["process.args[0]: exec \"/payload\"", "not implemented"])?;
    for (action, compared) in [("SCMP_ACT_LOG", None), ("SCMP_ACT_KILL", Some("SCMP_CMP_EQ"))] {
        let mut one = rule(action, &["execve"]);
        if let Some(op) = compared {
            // Compares an address, which is not 0.
            one.set("args", json!([{"index": 0i64, "value": 0i64, "op": op}]));
        }
        let mut bundle = filtered(rig, true, profile(vec![one]))?;
        rig.report(&mut bundle, &["say", "ran"])?.is("say", "ran")?;
    }
    Ok(())
}

/// The log of `run --debug`.
fn log_of(rig: &mut Rig, bundle: &Bundle) -> Outcome<String> {
    let log = rig.dir.join("log");
    rig.globals = vec!["--debug".to_string(), format!("--log={}", log.display())];
    // Nothing is printed on the standard error.
    rig.run(bundle, &[])?.success()?;
    rig.globals.clear();
    Ok(std::fs::read_to_string(log)?)
}

fn profile_of_docker_logs_no_warning(rig: &mut Rig) -> Outcome {
    let section = docker()?;
    for no_new_privileges in [false, true] {
        let bundle = filtered(rig, no_new_privileges, section.clone())?;
        lacks("the log", &log_of(rig, &bundle)?, "seccomp")?;
    }
    Ok(())
}

fn filter_that_denies_the_error_message_logs_a_warning(rig: &mut Rig) -> Outcome {
    let bundle = filtered(rig, true, profile(vec![rule("SCMP_ACT_ERRNO", &[SEND])]))?;
    rig.run(&bundle, &[])?.success()?;
    let remark = format!(
        "warning: linux.seccomp: syscalls[0]: SCMP_ACT_ERRNO denies {SEND}, which mote needs to report why"
    );
    contains("the log", &log_of(rig, &bundle)?, &remark)
}
