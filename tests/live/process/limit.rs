//! `process.rlimits` (getrlimit(2)), `process.oomScoreAdj` and `linux.intelRdt`.

use crate::bundle::Bundle;
use crate::check::{Outcome, holds, same, skip_allowed};
use crate::json;
use crate::json::Json;
use crate::report::Report;
use crate::rig::Rig;
use crate::{sys, tests};

tests![
    "process",
    limits_are_set,
    limits_omitted_are_those_of_the_caller,
    limit_unlimited,
    limits_apply_to_the_program_only,
    limits_apply_to_the_program_only_in_a_user_namespace,
    limits_apply_to_the_program_only_with_a_filter,
    limits_apply_to_the_program_only_with_create,
    limits_apply_to_the_program_only_with_exec,
    resctrl_missing_is_rejected,
    resctrl_is_not_needed_by_an_empty_object,
    limit_twice_is_rejected,
    limit_of_an_unknown_name_is_rejected,
    limit_soft_above_hard_is_rejected,
    oom_score_is_raised,
    oom_score_is_lowered,
    oom_score_omitted_is_that_of_the_caller,
    oom_score_out_of_range_is_rejected,
];

fn limit(kind: &str, soft: i64, hard: i64) -> Json {
    json!({"type": kind, "soft": soft, "hard": hard})
}

/// Every resource, with different values that are all below the caller's limits.
fn limits_are_set(rig: &mut Rig) -> Outcome {
    // To a 32-bit kernel, 4 GiB are unlimited.
    let large = if cfg!(target_pointer_width = "64") { 1 << 32 } else { 1 << 30 };
    let kinds = [
        ("CPU", 1000, 2000),
        ("FSIZE", 1 << 30, 1 << 31),
        ("DATA", large / 2, large),
        ("STACK", 1 << 20, 1 << 23),
        ("CORE", 0, 4096),
        ("RSS", large / 2, large),
        ("NPROC", 1000, 2000),
        ("NOFILE", 512, 1024),
        ("MEMLOCK", 4096, 8192),
        ("AS", large, large * 2),
        ("LOCKS", 11, 12),
        ("SIGPENDING", 13, 14),
        ("MSGQUEUE", 4096, 8192),
        ("NICE", 0, 0),
        ("RTPRIO", 0, 0),
        ("RTTIME", 10_000, 20_000),
    ];
    let mut bundle = rig.bundle()?;
    for (kind, soft, hard) in kinds {
        bundle.set("process.rlimits[+]", limit(&format!("RLIMIT_{kind}"), soft, hard));
    }
    let inside = rig.report(&mut bundle, &["limits"])?;
    kinds
        .iter()
        .try_for_each(|(kind, soft, hard)| inside.is(&format!("limit:{kind}"), &format!("{soft} {hard}")))
}

fn limits_omitted_are_those_of_the_caller(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.rlimits[+]", limit("RLIMIT_CORE", 0, 0));
    let host = crate::command::run(&mut rig.host(&["limits"]), "")?.success()?.report();
    let inside = rig.report(&mut bundle, &["limits"])?;
    for kind in ["NPROC", "STACK", "AS", "MEMLOCK"] {
        let key = format!("limit:{kind}");
        inside.is(&key, host.get(&key))?;
    }
    Ok(())
}

/// The largest number is "unlimited". The hard limit must be unlimited already, as raising it needs a privilege.
fn limit_unlimited(rig: &mut Rig) -> Outcome {
    let host = crate::command::run(&mut rig.host(&["limits"]), "")?.success()?.report();
    if !host.get("limit:FSIZE").ends_with(" -1") {
        return skip_allowed("the caller's own file size is limited");
    }
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["limits"]);
    bundle.set("process.rlimits[+]", limit("RLIMIT_FSIZE", 1 << 30, 77));
    bundle.write()?;
    let text = bundle.config.to_string().replace(":77}", ":18446744073709551615}");
    let text = text.replace(":77\n", ":18446744073709551615\n");
    let mut command = rig.launch("run", &bundle, &[])?;
    std::fs::write(bundle.dir.join("config.json"), text)?;
    let inside = crate::command::run(&mut command, "")?.success()?.report();
    inside.is("limit:FSIZE", &format!("{} -1", 1 << 30))
}

/// Sets limits under which the runtime could not set anything up: no open files, no file growth, no memory.
fn tight_limits(rig: &Rig, change: impl Fn(&mut Bundle)) -> Outcome {
    let run = |kind: &str, most: i64| {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["limits"]);
        bundle.file("/etc/file", "text")?;
        // The container's root, in a user namespace, too.
        for path in ["etc", "etc/file"] {
            sys::chown(&bundle.host_path(path), 100_000, 100_000)?;
        }
        let options = json!(["tmpcopyup"]);
        bundle.mount(json!({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": options}));
        bundle.set("process.rlimits[+]", limit(&format!("RLIMIT_{kind}"), most, most));
        change(&mut bundle);
        // The output goes to a pipe, as it could not be written to a file.
        rig.spawn(&bundle, &[])?.finish()
    };
    for (kind, most) in [("NOFILE", 3), ("NOFILE", 32), ("FSIZE", 0)] {
        run(kind, most)?.success()?.report().is(&format!("limit:{kind}"), &format!("{most} {most}"))?;
    }
    let output = run("DATA", 0)?;
    same("an error of the runtime", output.stderr.contains("mote"), false)?;
    holds("the program is killed by a signal", output.code() > 128)
}

fn limits_apply_to_the_program_only(rig: &mut Rig) -> Outcome {
    tight_limits(rig, |_| {})
}

fn limits_apply_to_the_program_only_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    tight_limits(rig, |bundle| bundle.user_namespace(100_000))
}

/// With a filter that kills the process if it sets a limit.
fn limits_apply_to_the_program_only_with_a_filter(rig: &mut Rig) -> Outcome {
    let rules = json!([{"names": ["prlimit64", "setrlimit"], "action": "SCMP_ACT_KILL_PROCESS"}]);
    for no_new_privileges in [false, true] {
        let mut bundle = rig.bundle()?;
        bundle.verbs(&["say", "runs"]);
        bundle.set("process.noNewPrivileges", no_new_privileges);
        bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 32, 32));
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": (rules.clone())});
        bundle.set("linux.seccomp", filter);
        rig.run(&bundle, &[])?.success()?.report().is("say", "runs")?;
    }
    Ok(())
}

/// Including `start`, and hooks, which have file descriptors.
fn limits_apply_to_the_program_only_with_create(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["limits"]);
    bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 3, 3));
    bundle.set("hooks.startContainer", json!([{"path": "/payload", "args": ["payload", "say", "hook"]}]));
    let mut created = rig.create(&bundle, &[])?;
    rig.mote(&["start", &rig.id])?.success()?;
    Report::parse(&created.lines.all()?).is("limit:NOFILE", "3 3")?;
    rig.delete()
}

fn limits_apply_to_the_program_only_with_exec(rig: &mut Rig) -> Outcome {
    for user_namespace in [false, true] {
        let mut bundle = rig.bundle()?;
        bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 3, 3));
        if user_namespace {
            bundle.user_namespace(100_000);
        }
        let _running = rig.waiting(&mut bundle)?;
        let inside = rig.mote(&["exec", &rig.id, "/payload", "limits"])?.success()?.report();
        inside.is("limit:NOFILE", "3 3")?;
        rig.delete()?;
    }
    Ok(())
}

fn limit_twice_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 512, 1024));
    bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 512, 1024));
    rig.rejected(&bundle, &["process.rlimits[1]", "RLIMIT_NOFILE"])
}

fn limit_of_an_unknown_name_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("process.rlimits[+]", limit("RLIMIT_MOON", 1, 1));
    rig.rejected(&bundle, &["process.rlimits[0].type", "RLIMIT_MOON"])
}

fn limit_soft_above_hard_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    bundle.set("process.rlimits[+]", limit("RLIMIT_NOFILE", 1024, 512));
    rig.rejected(&bundle, &["process.rlimits[0]"])
}

fn oom_score_is_raised(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.oomScoreAdj", 500i64);
    rig.report(&mut bundle, &["oom"])?.is("oom", "500")
}

fn oom_score_is_lowered(rig: &mut Rig) -> Outcome {
    let host = crate::command::run(&mut rig.host(&["caps"]), "")?.success()?.report();
    if !host.get("cap:effective").contains("SYS_RESOURCE") {
        return skip_allowed("no CAP_SYS_RESOURCE");
    }
    let mut bundle = rig.bundle()?;
    bundle.set("process.oomScoreAdj", -500i64);
    rig.report(&mut bundle, &["oom"])?.is("oom", "-500")
}

fn oom_score_omitted_is_that_of_the_caller(rig: &mut Rig) -> Outcome {
    let host = crate::command::run(&mut rig.host(&["oom"]), "")?.success()?.report();
    let mut bundle = rig.bundle()?;
    rig.report(&mut bundle, &["oom"])?.is("oom", host.get("oom"))
}

fn oom_score_out_of_range_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["oom"]);
    bundle.set("process.oomScoreAdj", 2000i64);
    rig.rejected(&bundle, &["process.oomScoreAdj"])
}

/// `linux.intelRdt` on a machine without resctrl.
fn resctrl_missing_is_rejected(rig: &mut Rig) -> Outcome {
    if std::fs::exists("/sys/fs/resctrl/schemata")? {
        return skip_allowed("this machine has resctrl");
    }
    for rdt in [
        json!({"schemata": ["L3:0=f"]}),
        json!({"closID": "/"}),
        json!({"closID": "a", "schemata": ["L3:0=f"], "enableMonitoring": true}),
    ] {
        let mut bundle = rig.bundle()?;
        bundle.set("linux.intelRdt", rdt);
        rig.rejected(&bundle, &["linux.intelRdt", "/sys/fs/resctrl"])?;
    }
    Ok(())
}

fn resctrl_is_not_needed_by_an_empty_object(rig: &mut Rig) -> Outcome {
    for rdt in [json!({}), json!({"closID": "", "schemata": [], "enableMonitoring": false})] {
        let mut bundle = rig.bundle()?;
        bundle.set("linux.intelRdt", rdt);
        rig.report(&mut bundle, &["say", "ran"])?.is("say", "ran")?;
    }
    Ok(())
}
