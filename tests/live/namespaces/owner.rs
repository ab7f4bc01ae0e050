//! Namespaces and the user namespaces that own them (namespaces(7), user_namespaces(7)): which may be joined with a user
//! namespace, and which not.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::join::{proc_path, user_namespace_of_a_process};
use super::needs_time;
use crate::bundle::Bundle;
use crate::check::{Outcome, different, same, skip_allowed};
use crate::command::Running;
use crate::json;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "namespaces",
    owner_of_each_new_namespace_is_the_joined_user_namespace,
    owner_of_each_joined_namespace_is_the_joined_user_namespace,
    owner_of_each_joined_namespace_is_another_user_namespace,
    owner_of_each_joined_namespace_is_another_than_the_new_one,
    owner_of_a_joined_namespace_gives_no_rights,
    owner_is_the_own_user_namespace_already,
    clock_offsets_in_a_joined_user_namespace,
    devices_in_a_joined_user_namespace,
];

/// Each kind besides user and mount, with its file; the time namespace for runtimes that support it.
fn kinds(rig: &Rig) -> Vec<(&'static str, &'static str)> {
    let mut kinds =
        vec![("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup")];
    if needs_time(rig).is_ok() {
        kinds.push(("time", "time"));
    }
    kinds
}

/// These kinds in the notation of the payload.
fn unshared(rig: &Rig) -> String {
    kinds(rig).into_iter().map(|(_, file)| file).collect::<Vec<_>>().join(",")
}

/// A bundle that needs no rights over namespaces but its mount namespace.
fn bundle(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    for place in ["/dev/mqueue", "/sys", "/proc", "/dev/pts"] {
        bundle.without_mount(place);
    }
    for kind in ["network", "ipc", "uts", "pid"] {
        bundle.without_namespace(kind);
    }
    for field in ["hostname", "linux.maskedPaths", "linux.readonlyPaths"] {
        bundle.remove(field);
    }
    Ok(bundle)
}

/// Starts the bundle's program and compares the namespaces of its process, as the host sees them.
fn has(rig: &Rig, bundle: &mut Bundle, want: &[(&str, PathBuf)]) -> Outcome {
    let _running = rig.waiting(bundle)?;
    let pid = rig.pid()?;
    for (file, path) in want {
        same(file, fs::read_link(proc_path(pid, file))?, fs::read_link(path)?)?;
    }
    let inside = rig.mote(&["exec", &rig.id, "/payload", "id"])?.success()?.report();
    inside.is("uid", "0 0 0")?;
    rig.delete()?;
    rig.nothing_left()
}

fn owner_of_each_new_namespace_is_the_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let user = proc_path(pid, "user");
    for (kind, file) in kinds(rig).into_iter().chain([("mount", "mnt")]) {
        let mut bundle = bundle(rig)?;
        bundle.namespace("user", Some(&user));
        bundle.namespace(kind, None);
        let _running = rig.waiting(&mut bundle)?;
        let path = proc_path(rig.pid()?, file);
        different(kind, fs::read_link(&path)?, fs::read_link(format!("/proc/self/ns/{file}"))?)?;
        let owner = sys::owner(&File::open(&path)?)?;
        let link = fs::read_link(format!("/proc/self/fd/{}", owner.as_raw_fd()))?;
        same(&format!("the owner of the {kind} namespace"), link, fs::read_link(&user)?)?;
        rig.delete()?;
    }
    rig.nothing_left()
}

/// Joins the user namespace of process `pid` together with each other namespace of process `other`.
fn joins_each(rig: &mut Rig, pid: i32, other: i32) -> Outcome {
    for (kind, file) in kinds(rig) {
        let mut bundle = bundle(rig)?;
        bundle.namespace("user", Some(&proc_path(pid, "user")));
        bundle.namespace(kind, Some(&proc_path(other, file)));
        has(rig, &mut bundle, &[("user", proc_path(pid, "user")), (file, proc_path(other, file))])?;
    }
    Ok(())
}

fn owner_of_each_joined_namespace_is_the_joined_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &["unshare", &unshared(rig)])?;
    joins_each(rig, pid, pid)
}

/// The host's root has rights over both.
fn owner_of_each_joined_namespace_is_another_user_namespace(rig: &mut Rig) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let (_other, other) = user_namespace_of_a_process(rig, &["unshare", &unshared(rig)])?;
    joins_each(rig, pid, other)
}

fn owner_of_each_joined_namespace_is_another_than_the_new_one(rig: &mut Rig) -> Outcome {
    let (_other, other) = user_namespace_of_a_process(rig, &["unshare", &unshared(rig)])?;
    for (kind, file) in kinds(rig) {
        let mut bundle = bundle(rig)?;
        bundle.user_namespace(200_000);
        bundle.namespace(kind, Some(&proc_path(other, file)));
        has(rig, &mut bundle, &[(file, proc_path(other, file))])?;
    }
    Ok(())
}

/// A file of a mount, which is not in procfs: the runtime has no access to processes outside of its user namespace.
struct Pin(PathBuf);

impl Pin {
    fn new(rig: &Rig, pid: i32, file: &str) -> Outcome<Pin> {
        let pin = rig.dir.join(format!("{file}-{pid}"));
        fs::write(&pin, "")?;
        sys::mount(&proc_path(pid, file).display().to_string(), &pin, "", libc::MS_BIND, "")?;
        Ok(Pin(pin))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // It was mounted.
        let _ = sys::umount(&self.0);
    }
}

/// Makes the rig call the runtime in a user namespace, which exists until the result is dropped.
fn inside(rig: &mut Rig) -> Outcome<Running> {
    sys::chown(&rig.dir, 100_000, 100_000)?;
    let (holder, pid) = user_namespace_of_a_process(rig, &[])?;
    rig.user_namespace = Some(File::open(proc_path(pid, "user"))?);
    Ok(holder)
}

/// In a user namespace, there are no rights over namespaces of the host, nor over those of another user namespace.
fn owner_of_a_joined_namespace_gives_no_rights(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the text of the error is mote's");
    }
    let (_other, other) = user_namespace_of_a_process(rig, &["unshare", &unshared(rig)])?;
    let host = std::process::id() as i32;
    let mut pins = Vec::new();
    for pid in [host, other] {
        for (kind, file) in kinds(rig) {
            pins.push((pid, kind, Pin::new(rig, pid, file)?));
        }
    }
    let _holder = inside(rig)?;
    for new in [false, true] {
        for (pid, kind, pin) in &pins {
            let mut bundle = bundle(rig)?;
            bundle.remove("linux.cgroupsPath");
            if new {
                let map = json!([{"containerID": 0i64, "hostID": 0i64, "size": 10i64}]);
                bundle.namespace("user", None);
                bundle.set("linux.uidMappings", map.clone());
                bundle.set("linux.gidMappings", map);
            }
            bundle.namespace(kind, Some(&pin.0));
            bundle.verbs(&["id"]);
            let mut command = rig.launch("run", &bundle, &[])?;
            sys::before_exec(&mut command, || sys::become_user(0, 0));
            let output = crate::command::run(&mut command, "")?;
            let what = format!("which owns this {kind} namespace");
            let whose = "CAP_SYS_ADMIN in another user namespace, above or beside mote's own";
            let words = ["linux.namespaces[", "].path", "setns", whose, &what, "operation not permitted"];
            output.failure(&words).map_err(|stop| match stop {
                crate::check::Stop::Fail(why) => format!("{kind} of {pid}: {why}").into(),
                other => other,
            })?;
        }
    }
    drop(pins);
    rig.nothing_left()
}

fn owner_is_the_own_user_namespace_already(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&["id"]);
    bundle.namespace("user", Some("/proc/self/ns/user".as_ref()));
    rig.rejected(&bundle, &["linux.namespaces[5].path", "mote is in this user namespace already"])
}

fn clock_offsets_in_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    needs_time(rig)?;
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    let host = super::on_host(rig, &["clock"])?;
    for joined in [true, false] {
        let mut bundle = rig.bundle()?;
        match joined {
            true => bundle.namespace("user", Some(&proc_path(pid, "user"))),
            false => bundle.user_namespace(100_000),
        }
        bundle.namespace("time", None);
        bundle.set("linux.timeOffsets", json!({"boottime": {"secs": 1_000_000i64}}));
        let inside = rig.report(&mut bundle, &["clock"])?;
        let seconds = |report: &Report| -> Outcome<f64> { Ok(report.get("clock:boottime").parse()?) };
        let ahead = seconds(&inside)? - seconds(&host)?;
        same("the clock is ahead", (1_000_000.0..1_000_600.0).contains(&ahead), true)?;
    }
    Ok(())
}

/// The owner is mapped by the namespace, whatever mappings the configuration has.
fn devices_in_a_joined_user_namespace(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("crun and runc map by the configuration");
    }
    rig.needs_mount_setattr()?;
    rig.needs_kernel((6, 3), "idmapped tmpfs")?;
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    for mapped in [None, Some(5000), Some(100_000)] {
        let mut bundle = rig.bundle()?;
        if let Some(first) = mapped {
            bundle.user_namespace(first);
        }
        bundle.namespace("user", Some(&proc_path(pid, "user")));
        let mine = json!({"path": "/dev/mine", "type": "c", "major": 1i64, "minor": 5i64, "fileMode": 0o604i64,
            "uid": 7i64, "gid": 8i64});
        let roots = json!({"path": "/dev/of-root", "type": "c", "major": 1i64, "minor": 3i64});
        bundle.set("linux.devices", json!([mine, roots]));
        let inside =
            rig.report(&mut bundle, &["stat", "/dev/mine", "stat", "/dev/of-root", "open", "/dev/mine"])?;
        inside.is("stat:/dev/mine", "c 604 7 8 1:5")?;
        inside.is("stat:/dev/of-root", "c 666 0 0 1:3")?;
        inside.is("open:/dev/mine", "ok")?;
    }
    Ok(())
}
