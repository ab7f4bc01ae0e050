//! `process.capabilities`: the five sets after execve (capabilities(7)); and `process.noNewPrivileges`.

use crate::check::{Outcome, contains, same};
use crate::json;
use crate::json::Json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "process",
    capabilities_of_root,
    capabilities_none,
    capabilities_omitted,
    capabilities_of_root_with_all_five_sets,
    capabilities_of_a_user_are_the_ambient_ones,
    capabilities_of_a_user_without_ambient,
    capabilities_ambient_without_inheritable,
    capabilities_all,
    capabilities_in_a_user_namespace,
    capability_unknown_is_a_warning,
    new_privileges_by_default,
    no_new_privileges,
];

const SETS: &[&str] = &["effective", "permitted", "inheritable", "bounding", "ambient"];

/// The sets of a process with this user id and this configuration.
fn with(rig: &Rig, uid: i64, sets: Json) -> Outcome<Report> {
    let mut bundle = rig.bundle()?;
    bundle.set("process.user.uid", uid);
    bundle.set("process.capabilities", sets);
    rig.report(&mut bundle, &["caps"])
}

/// Compares the sets in the order of `SETS`.
fn check_sets(inside: &Report, want: [&str; 5]) -> Outcome {
    SETS.iter().zip(want).try_for_each(|(set, want)| inside.is(&format!("cap:{set}"), want))
}

/// A program executed by root gets the bounding set.
fn capabilities_of_root(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let three = "KILL NET_BIND_SERVICE AUDIT_WRITE";
    check_sets(&rig.report(&mut bundle, &["caps"])?, [three, three, "", three, ""])
}

fn capabilities_none(rig: &mut Rig) -> Outcome {
    check_sets(&with(rig, 0, json!({}))?, ["", "", "", "", ""])
}

/// Without `process.capabilities`, the process has none.
fn capabilities_omitted(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return crate::check::skip_allowed("runc keeps those of the caller");
    }
    let mut bundle = rig.bundle()?;
    bundle.remove("process.capabilities");
    check_sets(&rig.report(&mut bundle, &["caps"])?, ["", "", "", "", ""])
}

fn capabilities_of_root_with_all_five_sets(rig: &mut Rig) -> Outcome {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL", "CAP_SETUID"],
        "ambient": ["CAP_SETUID"]
    });
    let all = "CHOWN KILL SETUID SYS_CHROOT";
    check_sets(&with(rig, 0, sets)?, [all, all, "KILL SETUID", all, "SETUID"])
}

fn capabilities_of_a_user_are_the_ambient_ones(rig: &mut Rig) -> Outcome {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_CHOWN", "CAP_KILL"],
        "ambient": ["CAP_KILL"]
    });
    check_sets(&with(rig, 1000, sets)?, ["KILL", "KILL", "CHOWN KILL", "CHOWN KILL SETUID", "KILL"])
}

fn capabilities_of_a_user_without_ambient(rig: &mut Rig) -> Outcome {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"]
    });
    check_sets(&with(rig, 1000, sets)?, ["", "", "", "CHOWN KILL", ""])
}

/// As in old configurations: the kernel denies ambient capabilities that are not inheritable, and the program runs
/// without them.
fn capabilities_ambient_without_inheritable(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.capabilities.ambient", json!(["CAP_KILL"]));
    bundle.verbs(&["caps"]);
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 0)?;
    let three = "KILL NET_BIND_SERVICE AUDIT_WRITE";
    check_sets(&output.report(), [three, three, "", three, ""])
}

/// Those that the suite has, which may be fewer than the kernel supports.
fn capabilities_all(rig: &mut Rig) -> Outcome {
    let host = crate::command::run(&mut rig.host(&["caps"]), "")?.success()?.report();
    let own = host.get("cap:permitted");
    let list: Vec<String> = own.split(' ').map(|name| format!("CAP_{name}")).collect();
    let list = Json::from(list);
    let sets = json!({"bounding": (list.clone()), "permitted": (list.clone()), "effective": list});
    check_sets(&with(rig, 0, sets)?, [own, own, "", own, ""])
}

fn capabilities_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    // A user namespace has all capabilities, whatever the caller has.
    let list = json!(["CAP_SYS_RESOURCE", "CAP_KILL"]);
    let sets = json!({"bounding": (list.clone()), "permitted": (list.clone()), "effective": list});
    bundle.set("process.capabilities", sets);
    let inside = rig.report(&mut bundle, &["caps"])?;
    let two = "KILL SYS_RESOURCE";
    check_sets(&inside, [two, two, "", two, ""])
}

fn capability_unknown_is_a_warning(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.capabilities", json!({"bounding": ["CAP_MOON", "CAP_KILL"]}));
    bundle.verbs(&["caps"]);
    let output = rig.run(&bundle, &[])?;
    same("exit code", output.code(), 0)?;
    contains("the standard error", &output.stderr, "CAP_MOON")?;
    same("lines of warning", output.stderr.lines().count(), 1)?;
    output.report().is("cap:bounding", "KILL")
}

fn new_privileges_by_default(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    rig.report(&mut bundle, &["nnp"])?.is("nnp", "0")
}

fn no_new_privileges(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.set("process.noNewPrivileges", true);
    let inside = rig.report(&mut bundle, &["nnp", "caps"])?;
    inside.is("nnp", "1")?;
    inside.is("cap:bounding", "KILL NET_BIND_SERVICE AUDIT_WRITE")
}
