//! mote called as by rootless podman: in a user namespace that an ordinary user has created and that owns none of the
//! host's other namespaces. A process that leaves the user namespace cannot join it again.

use std::fs::{self, File};
use std::process::Command;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, different, same};
use crate::command::{Output, Running, run, start};
use crate::json;
use crate::rig::Rig;
use crate::rootless::{as_ordinary_user, give_to_user};
use crate::{sys, tests};

tests![
    "rootless",
    nested_exec,
    nested_pid_namespace,
    nested_pid_namespace_with_hooks,
    nested_namespaces_under_a_new_user_namespace,
    nested_groups_that_cannot_be_dropped,
    nested_groups_that_cannot_be_set,
    nested_groups_in_another_user_namespace,
    nested_groups_of_a_joined_user_namespace,
    nested_groups_of_the_hosts_root_in_exec,
];

/// Makes the rig call the runtime in such a user namespace, which exists until the result is dropped.
pub fn nested(rig: &mut Rig) -> Outcome<Running> {
    nested_after(rig, "true")
}

/// The same, after a command of the shell in the user namespace.
pub fn nested_after(rig: &mut Rig, first: &str) -> Outcome<Running> {
    as_ordinary_user(rig)?;
    let mut command = Command::new("unshare");
    let script = format!("{first} && echo made=1; read word");
    command.args(["--user", "--map-root-user", "sh", "-c", &script]);
    command.env("MOTE_LIVE_HOST", &rig.marker);
    rig.prepare(&mut command);
    let mut running = start(&mut command, true)?;
    running.lines.until("made=1")?;
    rig.user_namespace = Some(File::open(format!("/proc/{}/ns/user", running.pid()))?);
    Ok(running)
}

/// A bundle without a user namespace.
pub fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.remove("linux.cgroupsPath");
    // unshare(1) denies setgroups(2) before it writes a map of one group.
    bundle.set("annotations.\"run.oci.keep_original_groups\"", "1");
    give_to_user(&bundle.dir)?;
    Ok(bundle)
}

fn nested_exec(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    let mut bundle = bundle(rig)?;
    let _running = rig.waiting(&mut bundle)?;
    let inside = rig.mote(&["exec", &rig.id, "/payload", "id", "ns"])?.success()?.report();
    different("pid", inside.get("pid"), "1")?;
    let path = format!("/proc/{}/ns/pid", rig.pid()?);
    inside.is("ns:pid", &fs::read_link(path)?.display().to_string())?;
    rig.delete()
}

/// A second container in namespaces of the first one.
fn second(rig: &mut Rig, kinds: &[(&str, &str)], change: impl FnOnce(&mut Bundle)) -> Outcome {
    let mut first = bundle(rig)?;
    let _running = rig.waiting(&mut first)?;
    let (id, pid) = (rig.id.clone(), rig.pid()?);
    let mut bundle = bundle(rig)?;
    bundle.verbs(&["id", "ns"]);
    for (kind, file) in kinds {
        bundle.namespace(kind, Some(format!("/proc/{pid}/ns/{file}").as_ref()));
    }
    change(&mut bundle);
    rig.id = format!("{id}-two");
    let inside = rig.run(&bundle, &[])?.success()?.report();
    rig.id = id;
    for (_, file) in kinds {
        let path = format!("/proc/{pid}/ns/{file}");
        inside.is(&format!("ns:{file}"), &fs::read_link(path)?.display().to_string())?;
    }
    rig.delete()
}

fn nested_pid_namespace(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    second(rig, &[("pid", "pid")], |_| {})
}

/// The hooks then run on the host all the same.
fn nested_pid_namespace_with_hooks(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    let log = rig.dir.join("log");
    fs::write(&log, "")?;
    crate::sys::chown(&log, rig.user.unwrap_or_default(), rig.user.unwrap_or_default())?;
    let (program, path) = (rig.suite.payload.display().to_string(), log.display().to_string());
    second(rig, &[("pid", "pid"), ("network", "net")], |bundle| {
        let args = vec!["payload", "into", path.as_str(), "ns"];
        bundle.set("hooks.poststart", json!([{"path": program, "args": args}]));
    })?;
    let text = fs::read_to_string(&log)?;
    for kind in ["pid", "net"] {
        let own = fs::read_link(format!("/proc/self/ns/{kind}"))?.display().to_string();
        let line = format!("ns:{kind}={own}");
        same(&line, text.lines().any(|text| text == line), true)?;
    }
    Ok(())
}

fn nested_namespaces_under_a_new_user_namespace(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    second(rig, &[("network", "net"), ("ipc", "ipc")], |bundle| {
        let map = json!([{"containerID": 0i64, "hostID": 0i64, "size": 1i64}]);
        bundle.namespace("user", None);
        bundle.set("linux.uidMappings", map.clone());
        bundle.set("linux.gidMappings", map);
        // sysfs can only be mounted by the owner of the network namespace.
        bundle.without_mount("/sys");
        bundle.without_mount("/dev/mqueue");
    })
}

/// unshare(1) denies setgroups(2) before it writes a map of one group, so the supplementary groups stay as they are.
fn groups(rig: &Rig, bundle: &mut Bundle) -> Outcome {
    bundle.remove("annotations");
    bundle.verbs(&["id"]);
    let inside = rig.run(bundle, &[])?.success()?.report();
    inside.is("uid", "0 0 0")?;
    inside.is("groups", "")
}

fn nested_groups_that_cannot_be_dropped(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    let mut bundle = bundle(rig)?;
    groups(rig, &mut bundle)
}

fn nested_groups_that_cannot_be_set(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    let mut bundle = bundle(rig)?;
    bundle.remove("annotations");
    bundle.set("process.user.additionalGids", json!([0i64]));
    rig.rejected(&bundle, &["process.user.additionalGids", "setgroups(2) is denied in the user namespace"])
}

/// A user namespace created in it has a setgroups(2) setting of its own, inherited from there.
fn nested_groups_in_another_user_namespace(rig: &mut Rig) -> Outcome {
    let _holder = nested(rig)?;
    let mut bundle = bundle(rig)?;
    let map = json!([{"containerID": 0i64, "hostID": 0i64, "size": 1i64}]);
    bundle.namespace("user", None);
    bundle.set("linux.uidMappings", map.clone());
    bundle.set("linux.gidMappings", map);
    groups(rig, &mut bundle)
}

/// The host's root joins a user namespace in which setgroups(2) is denied: it drops its groups before.
fn nested_groups_of_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let holder = nested(rig)?;
    let path = format!("/proc/{}/ns/user", holder.pid());
    (rig.user, rig.user_namespace) = (None, None);
    for own in [vec![], vec![5, 6]] {
        let mut bundle = bundle(rig)?;
        bundle.remove("annotations");
        bundle.namespace("user", Some(path.as_ref()));
        bundle.verbs(&["id"]);
        let output = with_groups(rig.launch("run", &bundle, &[])?, own)?.success()?;
        output.report().is("uid", "0 0 0")?;
        output.report().is("groups", "")?;
    }
    Ok(())
}

fn with_groups(mut command: Command, groups: Vec<u32>) -> Outcome<Output> {
    sys::before_exec(&mut command, move || sys::set_groups(&groups));
    run(&mut command, "")
}

fn nested_groups_of_the_hosts_root_in_exec(rig: &mut Rig) -> Outcome {
    let holder = nested(rig)?;
    let path = format!("/proc/{}/ns/user", holder.pid());
    (rig.user, rig.user_namespace) = (None, None);
    let mut bundle = bundle(rig)?;
    bundle.remove("annotations");
    bundle.namespace("user", Some(path.as_ref()));
    let _running = rig.waiting(&mut bundle)?;
    for own in [vec![], vec![5, 6]] {
        let command = rig.command(&["exec", &rig.id, "/payload", "id"]);
        with_groups(command, own)?.success()?.report().is("groups", "")?;
    }
    let output = rig.mote(&["exec", "--additional-gids", "7", &rig.id, "/payload", "id"])?;
    contains("the error", &output.stderr, "setgroups(2) is denied")?;
    rig.delete()
}
