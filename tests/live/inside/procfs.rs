//! /proc of the caller: missing, covered, restricted, of another pid namespace, or no procfs at all.

use std::fs;
use std::io::Result;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{lifecycle, mount, own_mounts};
use crate::bundle::Bundle;
use crate::check::{Outcome, contains, same, skip_allowed};
use crate::command::run;
use crate::report::Report;
use crate::rig::{Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::{nested, sys, tests};

tests![
    "inside",
    procfs_missing,
    procfs_covered_by_a_tmpfs,
    procfs_fake,
    procfs_fake_has_no_effect_on_the_version,
    procfs_hidepid,
    procfs_hidepid_as_an_ordinary_user,
    procfs_subset,
    procfs_subset_as_an_ordinary_user,
    procfs_missing_with_id_maps,
    procfs_missing_with_a_long_state_path,
    procfs_missing_as_an_ordinary_user,
    procfs_masked_in_a_user_namespace,
    procfs_masked_in_a_user_namespace_and_bound,
    procfs_of_another_pid_namespace,
    procfs_of_another_pid_namespace_with_id_maps,
    procfs_of_another_pid_namespace_as_an_ordinary_user,
];

fn only_mote(rig: &Rig) -> Outcome {
    match rig.is(Runtime::Mote) {
        true => Ok(()),
        false => skip_allowed("this runtime needs a procfs at /proc"),
    }
}

fn none(_: &Path) -> Result<()> {
    own_mounts()?;
    sys::umount(Path::new("/proc"))
}

fn tmpfs(_: &Path) -> Result<()> {
    own_mounts()?;
    mount("tmpfs", "/proc", "")
}

/// Files that would change what mote does if it used them: another user without capabilities, another program, another
/// cgroup, and namespaces that are none.
fn fake(dir: &Path) -> Result<()> {
    tmpfs(dir)?;
    let own = Path::new("/proc/self");
    for name in ["ns", "fd", "attr"] {
        fs::create_dir_all(own.join(name))?;
    }
    let status = "Uid:\t9\t9\t9\t9\nGid:\t9\t9\t9\t9\nGroups:\t\nNSpid:\t5\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nSigIgn:\t0\n";
    fs::write(own.join("status"), status)?;
    fs::write(own.join("exe"), vec![0xcc; 4 << 20])?;
    fs::write(own.join("cgroup"), "0::/fake\n")?;
    fs::write(own.join("mountinfo"), "")?;
    fs::write(own.join("setgroups"), "deny")?;
    fs::write(own.join("oom_score_adj"), "0")?;
    ["user", "mnt", "pid"].iter().try_for_each(|name| fs::write(own.join("ns").join(name), ""))?;
    symlink("/", own.join("fd/3"))
}

fn hidepid(_: &Path) -> Result<()> {
    own_mounts()?;
    sys::umount(Path::new("/proc"))?;
    mount("proc", "/proc", "hidepid=2")
}

fn subset(_: &Path) -> Result<()> {
    own_mounts()?;
    sys::umount(Path::new("/proc"))?;
    mount("proc", "/proc", "subset=pid")
}

/// As an engine does for its containers.
fn masked(_: &Path) -> Result<()> {
    own_mounts()?;
    mount("tmpfs", "/proc/tty", "")
}

fn procfs_missing(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.around = Some(none);
    lifecycle(rig, &mut rig.bundle()?)
}

fn procfs_covered_by_a_tmpfs(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.around = Some(tmpfs);
    lifecycle(rig, &mut rig.bundle()?)
}

fn procfs_fake(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.around = Some(fake);
    let mut bundle = rig.bundle()?;
    let inside = rig.report(&mut bundle, &["caps", "id"])?;
    inside.is("uid", "0 0 0")?;
    inside.is("cap:effective", "KILL NET_BIND_SERVICE AUDIT_WRITE")?;
    bundle.set("process.oomScoreAdj", 777i64);
    rig.report(&mut bundle, &["oom"])?.is("oom", "777")?;
    lifecycle(rig, &mut bundle)
}

/// In a user namespace the state is in $XDG_RUNTIME_DIR.
fn procfs_fake_has_no_effect_on_the_version(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.needs_kernel((6, 11), "PIDFD_GET_USER_NAMESPACE")?;
    for (around, user_namespace) in
        [(fake as fn(&Path) -> _, false), (none, false), (none, true), (tmpfs, true)]
    {
        rig.around = None;
        let holder = user_namespace.then(|| nested::nested(rig)).transpose()?;
        rig.around = Some(around);
        let mut command = Command::new(&rig.suite.runtime);
        command.arg("--version");
        rig.prepare(&mut command);
        command.env("XDG_RUNTIME_DIR", "/some/where");
        let wanted = if holder.is_some() { "rundir: /some/where/mote\n" } else { "rundir: /run/mote\n" };
        contains("the version", &run(&mut command, "")?.success()?.stdout, wanted)?;
        (rig.user, rig.user_namespace) = (None, None);
    }
    Ok(())
}

fn procfs_hidepid(rig: &mut Rig) -> Outcome {
    rig.around = Some(hidepid);
    lifecycle(rig, &mut rig.bundle()?)
}

fn procfs_hidepid_as_an_ordinary_user(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    rig.around = Some(hidepid);
    lifecycle(rig, &mut user_namespace_bundle(rig)?)
}

fn procfs_subset(rig: &mut Rig) -> Outcome {
    rig.needs_kernel((5, 8), "subset=pid")?;
    rig.around = Some(subset);
    lifecycle(rig, &mut rig.bundle()?)
}

fn procfs_subset_as_an_ordinary_user(rig: &mut Rig) -> Outcome {
    rig.needs_kernel((5, 8), "subset=pid")?;
    as_ordinary_user(rig)?;
    rig.around = Some(subset);
    lifecycle(rig, &mut user_namespace_bundle(rig)?)
}

/// A bundle whose container has ID maps, and no mounts that a user namespace could not make.
fn mapped(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    Ok(bundle)
}

/// The ID maps are written through a procfs that is attached nowhere.
fn procfs_missing_with_id_maps(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.around = Some(none);
    let mut bundle = mapped(rig)?;
    // A new one is denied without the host's.
    for place in ["/proc", "/sys"] {
        bundle.without_mount(place);
    }
    bundle.remove("linux.maskedPaths");
    bundle.remove("linux.readonlyPaths");
    lifecycle(rig, &mut bundle)
}

/// The start socket's path does not fit into an address, so it is bound through /proc.
fn procfs_missing_with_a_long_state_path(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    rig.state = rig.dir.join("long/".repeat(30));
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    rig.create(&bundle, &[])?;
    rig.delete()?;
    rig.around = Some(fake);
    let output = run(&mut rig.launch("create", &bundle, &[])?, "")?;
    output.failure(&["longer than 107 bytes", "/proc is not a procfs"])?;
    rig.nothing_left()
}

fn procfs_missing_as_an_ordinary_user(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    as_ordinary_user(rig)?;
    for around in [none, tmpfs, fake] {
        rig.around = Some(around);
        let mut bundle = user_namespace_bundle(rig)?;
        bundle.verbs(&[]);
        rig.rejected(&bundle, &["/proc is not a procfs", "mount one there", "not permitted"])?;
    }
    Ok(())
}

fn procfs_masked_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    rig.around = Some(masked);
    let mut bundle = mapped(rig)?;
    bundle.verbs(&[]);
    let words =
        ["mounts[0] /proc: fsmount proc", "partly covered", "unmask", "bind mount of /proc", "not permitted"];
    rig.rejected(&bundle, &words)?;
    as_ordinary_user(rig)?;
    rig.state = rig.dir.join("other");
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    rig.rejected(&bundle, &words)
}

/// What the error suggests.
fn procfs_masked_in_a_user_namespace_and_bound(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    rig.around = Some(masked);
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.without_mount("/proc");
    bundle.bind(Path::new("/proc"), "/proc", &["rbind"]);
    let inside = rig.report(&mut bundle, &["id", "list", "/proc/tty", "mounts"])?;
    inside.is("list:/proc/tty", "")?;
    contains("the mount", inside.get("mount:/proc"), " - proc ")
}

/// The commands from `create` to `delete`, in one new pid namespace without a procfs of its own. The PIDs of that namespace are
/// those of other processes in the /proc of the host.
fn in_new_pid_namespace(rig: &Rig, bundle: &Bundle) -> Outcome<crate::command::Output> {
    bundle.write()?;
    let script = "\"$@\" create --bundle \"$BUNDLE\" x </dev/null >/dev/null && \"$@\" start x && \
        \"$@\" exec x /payload id read /proc/self/uid_map && \"$@\" ps --format json x && \
        \"$@\" kill x KILL && \"$@\" delete --force x && echo all=done";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "sh", "-c", script, "sh"]);
    command.arg(&rig.suite.runtime).arg("--root").arg(&rig.state).args(&rig.globals);
    command.env("BUNDLE", &bundle.dir).env("MOTE_LIVE", &rig.marker);
    rig.prepare(&mut command);
    run(&mut command, "")
}

fn lives(rig: &Rig, bundle: &mut Bundle) -> Outcome<Report> {
    bundle.verbs(&["wait", "1"]);
    let output = in_new_pid_namespace(rig, bundle)?.success()?;
    output.report().is("all", "done")?;
    rig.nothing_left()?;
    Ok(output.report())
}

fn procfs_of_another_pid_namespace(rig: &mut Rig) -> Outcome {
    lives(rig, &mut rig.bundle()?).map(drop)
}

fn procfs_of_another_pid_namespace_with_id_maps(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    let report = lives(rig, &mut mapped(rig)?)?;
    let map: Vec<&str> = report.get("read:/proc/self/uid_map").split_whitespace().collect();
    same("the map", map, vec!["0", "100000", "1000"])
}

/// Not permitted to mount a procfs: the maps of another process must not be written.
fn procfs_of_another_pid_namespace_as_an_ordinary_user(rig: &mut Rig) -> Outcome {
    only_mote(rig)?;
    as_ordinary_user(rig)?;
    let mut bundle = user_namespace_bundle(rig)?;
    bundle.verbs(&[]);
    bundle.write()?;
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]);
    command.arg("--inh-caps=-all").arg(&rig.suite.runtime).arg("--root").arg(&rig.state);
    command.arg("run").arg("--bundle").arg(&bundle.dir).arg("x").env("MOTE_LIVE", &rig.marker);
    rig.user = None;
    rig.prepare(&mut command);
    run(&mut command, "")?.failure(&["/proc is the procfs of another pid namespace", "fsopen proc"])?;
    rig.nothing_left()
}
