//! Every action and flag of a profile, and each step at which a filter is loaded (config-linux.md, "Seccomp";
//! seccomp(2)).

use std::fs;

use super::{SEND, SETGROUPS, SETRESGID, SETRESUID, docker, profile, rule};
use crate::check::{Outcome, contains, fail, same, skip_allowed};
use crate::command::{LIMIT, run};
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::sys::audit::Log;
use crate::tests;

tests![
    "filter",
    errno,
    errno_of_the_rule,
    errno_by_default,
    newer_calls_fail_with_enosys,
    kill,
    kill_of_a_thread,
    kill_of_a_process,
    trap,
    trace_without_a_tracer,
    log,
    log_is_written,
    flags,
    unknown_names_are_ignored,
    unknown_names_are_rejected_by_an_annotation,
    loaded_last_with_no_new_privileges,
    loaded_early_without_no_new_privileges,
    exec_is_filtered,
    exec_with_no_new_privileges,
    program_in_an_annotation,
    denied_seccomp_is_an_error,
];

const NUMBER: &str = "SCMP_ACT_ERRNO";

fn errno(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["syscall", "munlockall", "syscall", "getegid"])?;
    inside.is("syscall:munlockall", "!EPERM")?;
    inside.is("syscall:getegid", "0")
}

fn errno_of_the_rule(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut one = rule(NUMBER, &["munlockall"]);
    one.set("errnoRet", 4094i64);
    let mut nothing = rule(NUMBER, &["getegid"]);
    nothing.set("errnoRet", 0i64);
    bundle.set("linux.seccomp", profile(vec![one, nothing]));
    let inside = rig.report(&mut bundle, &["syscall", "munlockall", "syscall", "getegid"])?;
    inside.is("syscall:munlockall", "!E4094")?;
    // Success, without the call being executed.
    inside.is("syscall:getegid", "0")
}

fn errno_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut section = docker()?;
    section.set("defaultErrnoRet", i64::from(libc::EXDEV));
    bundle.set("linux.seccomp", section);
    let inside = rig.report(&mut bundle, &["syscall", "munlockall", "syscall", "acct"])?;
    inside.is("syscall:munlockall", "0")?;
    inside.is("syscall:acct", "!EXDEV")
}

/// As by runc: a call that is newer than the profile fails with ENOSYS, not with EPERM.
fn newer_calls_fail_with_enosys(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun does not");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", docker()?);
    let inside = rig.report(&mut bundle, &["syscall", "acct", "syscall", "900"])?;
    inside.is("syscall:acct", "!EPERM")?;
    inside.is("syscall:900", "!ENOSYS")
}

/// Checks that the call kills the container with SIGSYS.
fn kills_container(rig: &mut Rig, action: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(action, &["munlockall"])]));
    bundle.verbs(&["say", "before", "syscall", "munlockall", "say", "behind"]);
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 128 + libc::SIGSYS)?;
    same("the output", output.report().all("say"), vec!["before"])
}

fn kill(rig: &mut Rig) -> Outcome {
    kills_container(rig, "SCMP_ACT_KILL")
}

fn kill_of_a_thread(rig: &mut Rig) -> Outcome {
    kills_container(rig, "SCMP_ACT_KILL_THREAD")
}

fn kill_of_a_process(rig: &mut Rig) -> Outcome {
    kills_container(rig, "SCMP_ACT_KILL_PROCESS")
}

fn trap(rig: &mut Rig) -> Outcome {
    kills_container(rig, "SCMP_ACT_TRAP")
}

fn trace_without_a_tracer(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_TRACE", &["munlockall"])]));
    rig.report(&mut bundle, &["syscall", "munlockall"])?.is("syscall:munlockall", "!ENOSYS")
}

fn log(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_LOG", &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["syscall", "munlockall", "read", "/proc/self/status"])?;
    inside.is("syscall:munlockall", "0")?;
    contains("the status", inside.get("read:/proc/self/status"), "\nSeccomp:\t2\n")
}

/// With the action, and with the flag for an action that does not log by itself.
fn log_is_written(rig: &mut Rig) -> Outcome {
    let Ok(log) = Log::open() else { return skip_allowed("the audit log is not available here") };
    let call = libc::SYS_munlockall;
    for (action, flags, code) in
        [("SCMP_ACT_LOG", vec![], "0x7ffc0000"), (NUMBER, vec!["SECCOMP_FILTER_FLAG_LOG"], "0x50000")]
    {
        let mut bundle = rig.bundle()?;
        let mut section = profile(vec![rule(action, &["munlockall"])]);
        section.set("flags", flags);
        bundle.set("linux.seccomp", section);
        bundle.verbs(&["syscall", "munlockall"]);
        let file = rig.dir.join("pid").display().to_string();
        rig.run(&bundle, &["--pid-file", &file])?.success()?;
        let words = [
            format!(" pid={} ", fs::read_to_string(&file)?),
            format!(" syscall={call} "),
            format!(" code={code}"),
        ];
        // Calls of other processes are logged, too.
        loop {
            match log.next(LIMIT)? {
                Some(record) if words.iter().all(|word| record.contains(word)) => break,
                Some(_) => {}
                None => return fail(format_args!("not logged: {words:?}")),
            }
        }
    }
    Ok(())
}

/// Each flag, and all together. The container cannot observe their effect, only that the kernel accepts them.
fn flags(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("older versions of runc reject all of them");
    }
    let all = ["LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV"];
    let one = all.iter().map(|name| vec![*name]);
    for names in one.chain([all.to_vec(), vec![]]) {
        let mut bundle = rig.bundle()?;
        let names: Vec<String> = names.iter().map(|name| format!("SECCOMP_FILTER_FLAG_{name}")).collect();
        let mut section = profile(vec![rule(NUMBER, &["munlockall"])]);
        section.set("flags", names);
        bundle.set("linux.seccomp", section);
        rig.report(&mut bundle, &["syscall", "munlockall"])?.is("syscall:munlockall", "!EPERM")?;
    }
    Ok(())
}

fn unknown_names_are_ignored(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["of_the_year_3000", "munlockall"])]));
    rig.report(&mut bundle, &["syscall", "munlockall"])?.is("syscall:munlockall", "!EPERM")
}

fn unknown_names_are_rejected_by_an_annotation(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc does not");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("annotations.\"run.oci.seccomp_fail_unknown_syscall\"", "1");
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["of_the_year_3000", "munlockall"])]));
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.seccomp.syscalls: unknown system call \"of_the_year_3000\""])
}

/// After the filter is loaded, mote makes no call but execve.
fn loaded_last_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make other calls after it");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", true);
    bundle.set("process.user.uid", 7i64);
    let names = ["capset", SETRESUID, SETRESGID, SETGROUPS, "prctl", SEND, "recvfrom", "close"];
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_KILL_PROCESS", &names)]));
    let inside = rig.report(&mut bundle, &["id", "syscall", "munlockall"])?;
    inside.is("uid", "7 7 7")?;
    inside.is("syscall:munlockall", "0")
}

fn loaded_early_without_no_new_privileges(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.uid", 7i64);
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{set}"), Json::List(Vec::new()));
    }
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["id", "nnp", "caps", "syscall", "munlockall"])?;
    inside.is("uid", "7 7 7")?;
    inside.is("nnp", "0")?;
    inside.is("cap:bounding", "")?;
    inside.is("syscall:munlockall", "!EPERM")
}

fn in_exec(rig: &mut Rig, options: &[&str], nnp: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    rig.waiting(&mut bundle)?;
    let words = [&["exec"], options, &[rig.id.as_str(), "/payload", "nnp", "syscall", "munlockall"]].concat();
    let inside = run(&mut rig.command(&words), "")?.success()?.report();
    inside.is("nnp", nnp)?;
    inside.is("syscall:munlockall", "!EPERM")?;
    rig.delete()
}

fn exec_is_filtered(rig: &mut Rig) -> Outcome {
    in_exec(rig, &[], "0")
}

fn exec_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    in_exec(rig, &["--no-new-privs"], "1")
}

/// crun's annotation: `ld [0]; jeq #152, 0, 1; ret ERRNO|1; ret ALLOW`, where 152 is munlockall on x86_64.
fn program_in_an_annotation(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) || !cfg!(target_arch = "x86_64") {
        return skip_allowed("runc has no such annotation, and the program is for x86_64");
    }
    let mut bundle = rig.bundle()?;
    let program = "IAAAAAAAAAAVAAABmAAAAAYAAAABAAUABgAAAAAA/38=";
    bundle.set("annotations.\"run.oci.seccomp_bpf_data\"", program);
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_KILL_PROCESS", &["getegid"])]));
    let inside = rig.report(&mut bundle, &["syscall", "munlockall", "syscall", "getegid"])?;
    inside.is("syscall:munlockall", "!EPERM")?;
    inside.is("syscall:getegid", "0")
}

/// A sandbox denies seccomp(2) to mote.
fn denied_seccomp_is_an_error(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has an older call to fall back to");
    }
    rig.denied = &[("seccomp", libc::EPERM)];
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.seccomp: seccomp SECCOMP_SET_MODE_FILTER", "operation not permitted"])
}
