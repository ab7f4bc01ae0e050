//! Callers whose rights do not follow from their user ID: root of a user namespace, users with capabilities, root without
//! capabilities, and users of a user namespace that does not map 0.

use std::fs::{self, File};
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::{Output, Running, run, start};
use crate::json;
use crate::json::Json;
use crate::rig::{Rig, Runtime};
use crate::rootless::{USER, as_ordinary_user, give_to_user};
use crate::sys::caller::{become_user_with_capabilities, drop_capabilities, keep_capabilities};
use crate::{sys, tests};

tests![
    "privileges",
    root_of_a_user_namespace,
    root_of_a_user_namespace_in_another,
    root_of_a_user_namespace_with_ids_that_it_lacks,
    user_with_capabilities,
    user_with_capabilities_in_a_user_namespace,
    root_without_capabilities,
    root_without_one_capability,
    user_where_root_is_not_mapped,
    user_where_root_is_not_mapped_in_another,
    user_that_is_not_mapped,
];

const ALL: u64 = u64::MAX;

const TAKEN_FOR_ONE_WITHOUT: &str = "crun and runc take a user with capabilities for one without";

/// Makes the rig call the runtime in a user namespace with this map, which exists until the result is dropped.
fn namespace(rig: &mut Rig, map: &str) -> Outcome<Running> {
    as_ordinary_user(rig)?;
    rig.user = None;
    let mut holder = start(&mut rig.host(&["unshare", "user", "say", "unshared", "stdin"]), true)?;
    holder.lines.until("say=unshared")?;
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", holder.pid()), map)?;
    }
    rig.user_namespace = Some(File::open(format!("/proc/{}/ns/user", holder.pid()))?);
    Ok(holder)
}

fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    give_to_user(&bundle.dir)?;
    bundle.verbs(&["id", "caps", "read", "/proc/self/uid_map", "create", "/tmp/new"]);
    Ok(bundle)
}

fn map(container: i64, host: i64, size: i64) -> Json {
    json!([{"containerID": container, "hostID": host, "size": size}])
}

fn in_new_namespace(bundle: &mut Bundle, map: &Json) {
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map.clone());
}

/// Runs the bundle as a user of the rig's user namespace, with all capabilities there.
fn run_as(rig: &Rig, id: u32, bundle: &Bundle) -> Outcome<Output> {
    run(&mut as_user(rig.launch("run", bundle, &[])?, id), "")
}

fn as_user(mut command: Command, id: u32) -> Command {
    sys::before_exec(&mut command, move || sys::set_groups(&[]));
    sys::before_exec(&mut command, move || become_user_with_capabilities(id));
    command
}

/// Runs the bundle as root without these capabilities.
fn run_without(rig: &Rig, dropped: u64, bundle: &Bundle) -> Outcome<Output> {
    let mut command = rig.launch("run", bundle, &[])?;
    sys::before_exec(&mut command, move || drop_capabilities(dropped));
    run(&mut command, "")
}

fn is(output: Output, uid: &str, map: [&str; 3]) -> Outcome {
    let inside = output.success()?.report();
    inside.is("uid", uid)?;
    inside.is("gid", uid)?;
    inside.is("create:/tmp/new", "ok")?;
    inside.is("cap:effective", if uid == "0 0 0" { "KILL NET_BIND_SERVICE AUDIT_WRITE" } else { "" })?;
    let words: Vec<&str> = inside.get("read:/proc/self/uid_map").split_whitespace().collect();
    same("the map", words, map.to_vec())
}

/// The commands of a container that this user has created.
fn commands(rig: &Rig, id: u32, mut bundle: Bundle) -> Outcome {
    bundle.verbs(&["wait", "1"]);
    let mut running = start(&mut as_user(rig.launch("create", &bundle, &[])?, id), false)?;
    same("create", running.status()?.1.as_str(), "")?;
    let mote = |words: &[&str]| run(&mut as_user(rig.command(words), id), "");
    mote(&["start", &rig.id])?.success()?;
    running.lines.until("waiting=1")?;
    let exec = ["exec", &rig.id, "/payload", "id", "say", "executed"];
    mote(&exec)?.success()?.report().is("say", "executed")?;
    contains("the state", &mote(&["state", &rig.id])?.success()?.stdout, "running")?;
    mote(&["delete", "--force", &rig.id])?.success()?;
    rig.nothing_left()
}

fn root_of_a_user_namespace(rig: &mut Rig) -> Outcome {
    let _holder = namespace(rig, "0 12345 1000\n")?;
    is(run_as(rig, 0, &bundle(rig)?)?, "0 0 0", ["0", "12345", "1000"])?;
    let mut plain = bundle(rig)?;
    // Unlike in a namespace of a user without privileges, it may set groups.
    plain.set("process.user.additionalGids", json!([5i64, 6i64]));
    run_as(rig, 0, &plain)?.success()?.report().is("groups", "5 6")?;
    commands(rig, 0, bundle(rig)?)
}

fn root_of_a_user_namespace_in_another(rig: &mut Rig) -> Outcome {
    let _holder = namespace(rig, "0 12345 1000\n")?;
    for (first, size) in [(0, 1000), (0, 10), (500, 100)] {
        let mut bundle = bundle(rig)?;
        in_new_namespace(&mut bundle, &map(0, first, size));
        if first > 0 {
            // Its root has no rights over a directory of another user.
            sys::chown(&bundle.host_path("/tmp"), USER + 500, USER + 500)?;
        }
        is(run_as(rig, 0, &bundle)?, "0 0 0", ["0", &first.to_string(), &size.to_string()])?;
    }
    let mut bundle = bundle(rig)?;
    in_new_namespace(&mut bundle, &map(0, 0, 1000));
    commands(rig, 0, bundle)
}

fn root_of_a_user_namespace_with_ids_that_it_lacks(rig: &mut Rig) -> Outcome {
    let _holder = namespace(rig, "0 12345 1000\n")?;
    for (first, size) in [(100_000, 1000), (0, 1001), (999, 2)] {
        let mut bundle = bundle(rig)?;
        in_new_namespace(&mut bundle, &map(0, first, size));
        let output = run_as(rig, 0, &bundle)?;
        let words = ["linux.gidMappings[0].hostID", "not mapped in mote's own user namespace", "gid_map"];
        rig.failure(&output, &words)?;
        rig.nothing_left()?;
    }
    Ok(())
}

fn user_with_capabilities(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed(TAKEN_FOR_ONE_WITHOUT);
    }
    // On v1, only user ID 0 may move processes of other users.
    rig.globals.extend(["--cgroup-manager".to_string(), "disabled".to_string()]);
    sys::chown(&rig.dir, USER, USER)?;
    is(run_as(rig, USER, &bundle(rig)?)?, "0 0 0", ["0", "0", "4294967295"])?;
    let mut mapped = bundle(rig)?;
    in_new_namespace(&mut mapped, &map(0, 100_000, 1000));
    is(run_as(rig, USER, &mapped)?, "0 0 0", ["0", "100000", "1000"])?;
    commands(rig, USER, bundle(rig)?)
}

fn user_with_capabilities_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed(TAKEN_FOR_ONE_WITHOUT);
    }
    let _holder = namespace(rig, "0 12340 1000\n")?;
    is(run_as(rig, 5, &bundle(rig)?)?, "0 0 0", ["0", "12340", "1000"])?;
    let mut mapped = bundle(rig)?;
    in_new_namespace(&mut mapped, &map(0, 5, 20));
    is(run_as(rig, 5, &mapped)?, "0 0 0", ["0", "5", "20"])?;
    commands(rig, 5, bundle(rig)?)
}

/// Since linux 5.12, the kernel maps 0 only for a process with CAP_SETFCAP.
fn root_without_capabilities(rig: &mut Rig) -> Outcome {
    rig.needs_kernel((5, 12), "rule for mappings of 0")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["id"]);
    in_new_namespace(&mut bundle, &map(0, 0, 1));
    bundle.remove("linux.cgroupsPath");
    let output = run_without(rig, ALL, &bundle)?;
    rig.failure(&output, &["linux.uidMappings[0].hostID", "CAP_SETFCAP", "uid_map"])?;
    rig.nothing_left()
}

fn root_without_one_capability(rig: &mut Rig) -> Outcome {
    const SETFCAP: u64 = 1 << 31;
    rig.needs_kernel((5, 12), "rule for mappings of 0")?;
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["id"]);
    in_new_namespace(&mut bundle, &map(0, 100_000, 1000));
    run_without(rig, SETFCAP, &bundle)?.success()?.report().is("uid", "0 0 0")?;
    bundle.set("linux.uidMappings[+]", json!({"containerID": 1000i64, "hostID": 0i64, "size": 1i64}));
    let output = run_without(rig, SETFCAP, &bundle)?;
    rig.failure(&output, &["linux.uidMappings[1].hostID", "CAP_SETFCAP", "uid_map"])?;
    rig.nothing_left()
}

fn user_where_root_is_not_mapped(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed(TAKEN_FOR_ONE_WITHOUT);
    }
    let _holder = namespace(rig, "5 12345 1\n")?;
    let mut plain = bundle(rig)?;
    let output = run_as(rig, 5, &plain)?;
    rig.failure(&output, &["process.user.gid: setresgid 0", "not mapped in the user namespace"])?;
    plain.set("process.user", json!({"uid": 5i64, "gid": 5i64}));
    is(run_as(rig, 5, &plain)?, "5 5 5", ["5", "12345", "1"])?;
    let mut plain = bundle(rig)?;
    plain.set("process.user", json!({"uid": 5i64, "gid": 5i64}));
    commands(rig, 5, plain)
}

fn user_where_root_is_not_mapped_in_another(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed(TAKEN_FOR_ONE_WITHOUT);
    }
    let _holder = namespace(rig, "5 12345 1\n")?;
    for (id, text) in [(0, "0 0 0"), (7, "7 7 7")] {
        let mut bundle = bundle(rig)?;
        bundle.set("process.user", json!({"uid": id, "gid": id}));
        in_new_namespace(&mut bundle, &map(id, 5, 1));
        is(run_as(rig, 5, &bundle)?, text, [&id.to_string(), "5", "1"])?;
        commands(rig, 5, bundle)?;
    }
    Ok(())
}

/// The kernel does not let it create files.
fn user_that_is_not_mapped(rig: &mut Rig) -> Outcome {
    let _holder = namespace(rig, "0 12345 1\n")?;
    let bundle = bundle(rig)?;
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, keep_capabilities);
    let words = ["/dev/pts: mkdirat", "an ID without a mapping"];
    rig.failure(&run(&mut command, "")?, &words)?;
    let mut bundle = bundle;
    bundle.namespace("user", None);
    let map = json!([{"containerID": 0i64, "hostID": 0i64, "size": 1i64}]);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map);
    let mut command = rig.launch("run", &bundle, &[])?;
    sys::before_exec(&mut command, keep_capabilities);
    let words = ["clone3: mote's own user ID is not mapped in its user namespace: operation not permitted"];
    rig.failure(&run(&mut command, "")?, &words)?;
    rig.nothing_left()
}
