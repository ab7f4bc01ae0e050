//! Every action, flag and place where a filter is loaded.

use std::fs;

use super::{profile, rule};
use crate::check::{Outcome, contains, fail, same, skip_allowed};
use crate::command::{LIMIT, run};
use crate::json::Json;
use crate::rig::{Runtime, Rig};
use crate::sys::audit::Log;
use crate::tests;

tests![
    "filter",
    errno,
    errno_of_its_own,
    errno_by_default,
    newer_calls_are_unknown,
    kill,
    kill_of_a_thread,
    kill_of_a_process,
    trap,
    trace_without_a_tracer,
    log,
    log_is_written,
    flags,
    names_of_other_kernels,
    names_of_other_kernels_refused,
    loaded_last_with_no_new_privileges,
    loaded_with_rights_without_no_new_privileges,
    exec_is_filtered,
    exec_with_no_new_privileges,
    program_in_an_annotation,
    mote_without_the_right_is_told,
];

const NUMBER: &str = "SCMP_ACT_ERRNO";

fn errno(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["ask", "munlockall", "ask", "getegid"])?;
    inside.is("ask:munlockall", "!EPERM")?;
    inside.is("ask:getegid", "0")
}

fn errno_of_its_own(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut one = rule(NUMBER, &["munlockall"]);
    one.set("errnoRet", 4094i64);
    let mut nothing = rule(NUMBER, &["getegid"]);
    nothing.set("errnoRet", 0i64);
    bundle.set("linux.seccomp", profile(vec![one, nothing]));
    let inside = rig.report(&mut bundle, &["ask", "munlockall", "ask", "getegid"])?;
    inside.is("ask:munlockall", "!E4094")?;
    // As if it had been done.
    inside.is("ask:getegid", "0")
}

/// What docker has by default: a list of what may be called.
fn docker() -> Outcome<Json> {
    let text = include_str!("../../plan/real/docker-20.10-blkio-throttle.json");
    Ok(Json::parse(text)?.at("linux").at("seccomp").clone())
}

fn errno_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let mut section = docker()?;
    section.set("defaultErrnoRet", i64::from(libc::EXDEV));
    bundle.set("linux.seccomp", section);
    let inside = rig.report(&mut bundle, &["ask", "munlockall", "ask", "acct"])?;
    inside.is("ask:munlockall", "0")?;
    inside.is("ask:acct", "!EXDEV")
}

/// As runc does it: what the profile cannot have known does not look forbidden.
fn newer_calls_are_unknown(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Crun) {
        return skip_allowed("crun does not");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", docker()?);
    let inside = rig.report(&mut bundle, &["ask", "acct", "ask", "900"])?;
    inside.is("ask:acct", "!EPERM")?;
    inside.is("ask:900", "!ENOSYS")
}

/// The call ends the container with SIGSYS.
fn ends(rig: &mut Rig, action: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(action, &["munlockall"])]));
    bundle.verbs(&["say", "before", "ask", "munlockall", "say", "behind"]);
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 128 + libc::SIGSYS)?;
    same("what was said", output.report().all("say"), vec!["before"])
}

fn kill(rig: &mut Rig) -> Outcome {
    ends(rig, "SCMP_ACT_KILL")
}

fn kill_of_a_thread(rig: &mut Rig) -> Outcome {
    ends(rig, "SCMP_ACT_KILL_THREAD")
}

fn kill_of_a_process(rig: &mut Rig) -> Outcome {
    ends(rig, "SCMP_ACT_KILL_PROCESS")
}

fn trap(rig: &mut Rig) -> Outcome {
    ends(rig, "SCMP_ACT_TRAP")
}

fn trace_without_a_tracer(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_TRACE", &["munlockall"])]));
    rig.report(&mut bundle, &["ask", "munlockall"])?.is("ask:munlockall", "!ENOSYS")
}

fn log(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_LOG", &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["ask", "munlockall", "read", "/proc/self/status"])?;
    inside.is("ask:munlockall", "0")?;
    contains("the status", inside.get("read:/proc/self/status"), "\nSeccomp:\t2\n")
}

/// By the action, and by the flag for what has none of its own.
fn log_is_written(rig: &mut Rig) -> Outcome {
    let Ok(log) = Log::open() else { return skip_allowed("no audit log is to be had here") };
    let call = libc::SYS_munlockall;
    for (action, flags, code) in
        [("SCMP_ACT_LOG", vec![], "0x7ffc0000"), (NUMBER, vec!["SECCOMP_FILTER_FLAG_LOG"], "0x50000")]
    {
        let mut bundle = rig.bundle()?;
        let mut section = profile(vec![rule(action, &["munlockall"])]);
        section.set("flags", flags);
        bundle.set("linux.seccomp", section);
        bundle.verbs(&["ask", "munlockall"]);
        let file = rig.dir.join("pid").display().to_string();
        rig.run(&bundle, &["--pid-file", &file])?.success()?;
        let words = [
            format!(" pid={} ", fs::read_to_string(&file)?),
            format!(" syscall={call} "),
            format!(" code={code}"),
        ];
        // Others are logged, too.
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

/// Alone and together; what they change cannot be seen from inside, but that the kernel has taken them.
fn flags(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("older runcs refuse all of them");
    }
    let all = ["LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV"];
    let one = all.iter().map(|name| vec![*name]);
    for names in one.chain([all.to_vec(), vec![]]) {
        let mut bundle = rig.bundle()?;
        let names: Vec<String> = names.iter().map(|name| format!("SECCOMP_FILTER_FLAG_{name}")).collect();
        let mut section = profile(vec![rule(NUMBER, &["munlockall"])]);
        section.set("flags", names);
        bundle.set("linux.seccomp", section);
        rig.report(&mut bundle, &["ask", "munlockall"])?.is("ask:munlockall", "!EPERM")?;
    }
    Ok(())
}

fn names_of_other_kernels(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["of_the_year_3000", "munlockall"])]));
    rig.report(&mut bundle, &["ask", "munlockall"])?.is("ask:munlockall", "!EPERM")
}

fn names_of_other_kernels_refused(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc does not");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("annotations.\"run.oci.seccomp_fail_unknown_syscall\"", "1");
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["of_the_year_3000", "munlockall"])]));
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.seccomp.syscalls: unknown system call \"of_the_year_3000\""])
}

/// Nothing that mote itself does on its last steps needs to be allowed but execve.
fn loaded_last_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun make calls of their own behind it");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", true);
    bundle.set("process.user.uid", 7i64);
    let names = ["capset", "setresuid", "setresgid", "setgroups", "prctl", "sendto", "recvfrom", "close"];
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_KILL_PROCESS", &names)]));
    let inside = rig.report(&mut bundle, &["id", "ask", "munlockall"])?;
    inside.is("uid", "7 7 7")?;
    inside.is("ask:munlockall", "0")
}

fn loaded_with_rights_without_no_new_privileges(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.uid", 7i64);
    for set in ["bounding", "effective", "permitted"] {
        bundle.set(&format!("process.capabilities.{set}"), Json::List(Vec::new()));
    }
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    let inside = rig.report(&mut bundle, &["id", "nnp", "caps", "ask", "munlockall"])?;
    inside.is("uid", "7 7 7")?;
    inside.is("nnp", "0")?;
    inside.is("cap:bounding", "")?;
    inside.is("ask:munlockall", "!EPERM")
}

fn in_exec(rig: &mut Rig, options: &[&str], nnp: &str) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    rig.waiting(&mut bundle)?;
    let words = [&["exec"], options, &[rig.id.as_str(), "/payload", "nnp", "ask", "munlockall"]].concat();
    let inside = run(&mut rig.command(&words), "")?.success()?.report();
    inside.is("nnp", nnp)?;
    inside.is("ask:munlockall", "!EPERM")?;
    rig.delete()
}

fn exec_is_filtered(rig: &mut Rig) -> Outcome {
    in_exec(rig, &[], "0")
}

fn exec_with_no_new_privileges(rig: &mut Rig) -> Outcome {
    in_exec(rig, &["--no-new-privs"], "1")
}

/// crun's: `ld [0]; jeq #152, 0, 1; ret ERRNO|1; ret ALLOW`, 152 being munlockall here.
fn program_in_an_annotation(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) || !cfg!(target_arch = "x86_64") {
        return skip_allowed("runc has no such annotation, and the program is for x86_64");
    }
    let mut bundle = rig.bundle()?;
    let program = "IAAAAAAAAAAVAAABmAAAAAYAAAABAAUABgAAAAAA/38=";
    bundle.set("annotations.\"run.oci.seccomp_bpf_data\"", program);
    bundle.set("linux.seccomp", profile(vec![rule("SCMP_ACT_KILL_PROCESS", &["getegid"])]));
    let inside = rig.report(&mut bundle, &["ask", "munlockall", "ask", "getegid"])?;
    inside.is("ask:munlockall", "!EPERM")?;
    inside.is("ask:getegid", "0")
}

/// A sandbox that keeps seccomp(2) itself from mote.
fn mote_without_the_right_is_told(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has an older call to fall back to");
    }
    rig.denied = &[("seccomp", libc::EPERM)];
    let mut bundle = rig.bundle()?;
    bundle.set("linux.seccomp", profile(vec![rule(NUMBER, &["munlockall"])]));
    bundle.verbs(&[]);
    rig.rejected(&bundle, &["linux.seccomp: seccomp SECCOMP_SET_MODE_FILTER", "operation not permitted"])
}
