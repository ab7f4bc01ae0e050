//! Kernels and sandboxes without newer system calls: a seccomp filter around the runtime denies them with ENOSYS, as an
//! old kernel and docker's profile do, or with EPERM, as older profiles do.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, holds, same, skip_allowed};
use crate::cleanup::remove_cgroups;
use crate::rig::{DeniedCalls, Layout, Rig, Runtime};
use crate::runner::{Case, Test};
use crate::{cgroups, cve, hooks, namespaces, nested, process, rootfs, rootless};
use crate::{json, tests};

tests![
    "missing",
    no_call_denied,
    openat2_enosys,
    openat2_eperm,
    clone3_enosys,
    clone3_eperm,
    close_range_enosys,
    sendfile_enosys,
    all_calls_enosys,
    all_calls_eperm,
    without_clone3_v2_cgroup_is_joined,
    without_clone3_v2_cgroup_is_joined_in_a_user_namespace,
    without_clone3_threaded_cgroup_is_joined,
    without_clone3_time_namespace_is_rejected,
    without_clone3_user_without_privileges,
    without_mount_setattr_hidden_mount_is_rejected,
];

const ENOSYS: DeniedCalls = &[("openat2", libc::ENOSYS), ("clone3", libc::ENOSYS)];
const EPERM: DeniedCalls = &[("openat2", libc::EPERM), ("clone3", libc::EPERM)];

/// The groups of tests about paths, clone(2) and cgroups, which must pass without these calls, too.
const REPEATED: &[&[Test]] = &[
    rootfs::bind::TESTS,
    rootfs::mount::TESTS,
    rootfs::over_root::TESTS,
    rootfs::order::TESTS,
    rootfs::default_files::TESTS,
    rootfs::cgroup::TESTS,
    rootfs::device::TESTS,
    rootfs::idmap::TESTS,
    rootfs::mask::TESTS,
    rootfs::root::TESTS,
    rootfs::symlink::TESTS,
    rootfs::attack::TESTS,
    cve::descriptor::TESTS,
    cve::device::TESTS,
    cve::mask::TESTS,
    cve::mount::TESTS,
    cve::procfs::TESTS,
    cve::race::TESTS,
    namespaces::new::TESTS,
    namespaces::join::TESTS,
    namespaces::setting::TESTS,
    namespaces::device::TESTS,
    cgroups::path::TESTS,
    rootless::TESTS,
    nested::TESTS,
];

/// The groups of tests about flags of mounts, which must pass without mount_setattr(2), too (linux 5.12).
const REPEATED_OLD: &[&[Test]] = &[
    rootfs::bind::TESTS,
    rootfs::mount::TESTS,
    rootfs::many_mounts::TESTS,
    rootfs::mount_error::TESTS,
    rootfs::long_options::TESTS,
    rootfs::over_root::TESTS,
    rootfs::order::TESTS,
    rootfs::cgroup::TESTS,
    rootfs::propagation::TESTS,
    rootfs::device::TESTS,
    rootfs::mask::TESTS,
    rootfs::root::TESTS,
    rootfs::attack::TESTS,
];

/// The tests of signals to children of mote, which are sent without pidfd_send_signal(2), too.
const REPEATED_SIGNALS: &[&str] =
    &["hooks::timeout", "hooks::timeout_of_poststart_and_poststop", "process::signals_are_forwarded"];

const NO_SIGNAL: DeniedCalls = &[("pidfd_send_signal", libc::ENOSYS)];

const OLD: DeniedCalls = &[("mount_setattr", libc::ENOSYS)];

pub fn repeated() -> impl Iterator<Item = Case> {
    let cases = |groups: &'static [&'static [Test]], name: &'static str, denied| {
        let tests = groups.iter().copied().flatten();
        tests.map(move |test| Case { name: format!("{name}::{}", test.name), test, denied })
    };
    let signals = cases(&[hooks::failure::TESTS, process::signal::TESTS], "missing_signal", NO_SIGNAL);
    cases(REPEATED, "missing", ENOSYS)
        .chain(cases(REPEATED_OLD, "missing_mount_setattr", OLD))
        .chain(signals.filter(|case| REPEATED_SIGNALS.contains(&case.test.name)))
}

/// Shows that the other tests fail for no other reason than a denied call.
fn no_call_denied(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[])
}

fn openat2_enosys(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("openat2", libc::ENOSYS)])
}

fn openat2_eperm(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("openat2", libc::EPERM)])
}

fn clone3_enosys(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("clone3", libc::ENOSYS)])
}

fn clone3_eperm(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("clone3", libc::EPERM)])
}

fn close_range_enosys(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("close_range", libc::ENOSYS)])
}

/// sendfile(2) copies the program to a memfd; without it the program is copied by read(2) and write(2).
fn sendfile_enosys(rig: &mut Rig) -> Outcome {
    paths_through_symlinks(rig, &[("sendfile", libc::ENOSYS)])
}

fn all_calls_enosys(rig: &mut Rig) -> Outcome {
    const ALL: DeniedCalls = &[
        ("openat2", libc::ENOSYS),
        ("clone3", libc::ENOSYS),
        ("close_range", libc::ENOSYS),
        ("faccessat2", libc::ENOSYS),
        ("statx", libc::ENOSYS),
    ];
    paths_through_symlinks(rig, ALL)
}

fn all_calls_eperm(rig: &mut Rig) -> Outcome {
    const ALL: DeniedCalls = &[
        ("openat2", libc::EPERM),
        ("clone3", libc::EPERM),
        ("faccessat2", libc::EPERM),
        ("statx", libc::EPERM),
    ];
    paths_through_symlinks(rig, ALL)
}

/// Checks the effect of a configuration whose paths go through symlinks, and that the filter is still active in the
/// container.
fn paths_through_symlinks(rig: &mut Rig, denied: DeniedCalls) -> Outcome {
    rig.denied = denied;
    let mut bundle = image(rig)?;
    let calls = denied.iter().flat_map(|(name, _)| ["call", name]);
    let verbs: Vec<&str> = LOOK.split_whitespace().chain(calls).collect();
    let inside = rig.report(&mut bundle, &verbs)?;
    for (name, errno) in denied {
        let errno = if *errno == libc::EPERM { "!EPERM" } else { "!ENOSYS" };
        inside.is(&format!("call:{name}"), errno)?;
    }
    for place in ["/new/deep/dir", "/real/one", "/real/two", "/made/late", "/real/four", "/real/dir/five"] {
        contains("the mountinfo line", inside.get(&format!("mount:{place}")), " - tmpfs ")?;
    }
    inside.is("read:/etc/made/hosts", "bound")?;
    inside.is("read:/real/target", "bound")?;
    inside.is("read:/real/secret", "")?;
    inside.is("list:/real/hidden", "")?;
    inside.is("create:/real/still/file", "!EROFS")?;
    inside.is("create:/real/free", "ok")?;
    inside.is("stat:/dev/null", "c 666 0 0 1:3")?;
    inside.is("stat:/dev/net/one", "c 600 0 0 10:200")?;
    inside.is("stat:/real/device", "c 600 0 0 1:5")?;
    inside.is("link:/dev/fd", "/proc/self/fd")?;
    inside.is("cwd", "/real/dir")?;
    rig.nothing_left()?;
    symlink_loop_is_rejected(rig)
}

const LOOK: &str = "mounts read /etc/made/hosts read /real/target read /real/secret list /real/hidden \
    create /real/still/file create /real/free stat /dev/null stat /dev/net/one stat /real/device link /dev/fd cwd";

/// An image full of symlinks, and a configuration whose paths go through all of them.
fn image(rig: &Rig) -> Outcome<Bundle> {
    let mut bundle = rig.bundle()?;
    fs::create_dir_all(bundle.host_path("real/dir"))?;
    bundle.file("/real/secret", "secret")?;
    bundle.file("/real/hidden/file", "")?;
    bundle.file("/real/still/readme", "")?;
    let links = [
        ("relative", "real"),
        ("absolute", "/real"),
        ("dangling", "made/late"),
        ("climbs", "../../../../../../../../real"),
        ("dots", "./real/dir/../../relative/./dir/"),
        ("real/file", "/absolute/target"),
        ("real/up", "../climbs"),
    ];
    for (name, target) in links {
        symlink(target, bundle.host_path(name))?;
    }
    let places =
        ["/new/deep/dir", "relative/one", "/absolute/two", "/dangling", "/climbs/four", "/dots//five/"];
    for place in places {
        bundle.mount(json!({"destination": place, "type": "tmpfs", "source": "tmpfs"}));
    }
    let own = rig.dir.join("own");
    fs::write(&own, "bound")?;
    bundle.bind(&own, "/etc/made/hosts", &["bind"]);
    bundle.bind(&own, "/relative/up/file", &["bind"]);
    let zero =
        json!({"path": "/absolute/device", "type": "c", "major": 1i64, "minor": 5i64, "fileMode": 0o600i64});
    let net =
        json!({"path": "/dev/net/one", "type": "c", "major": 10i64, "minor": 200i64, "fileMode": 0o600i64});
    bundle.set("linux.devices", json!([zero, net]));
    bundle.set(
        "linux.maskedPaths",
        json!(["/climbs/secret", "/dots/../hidden", "/proc/kcore", "/none/at/all"]),
    );
    bundle.set("linux.readonlyPaths", json!(["/absolute/../relative/still", "/proc/sys", "/real/none"]));
    bundle.set("process.cwd", "/dots");
    Ok(bundle)
}

/// A loop of symlinks is an error, and nothing is left behind.
fn symlink_loop_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.verbs(&[]);
    symlink("two/more", bundle.host_path("one"))?;
    symlink("/one", bundle.host_path("two"))?;
    bundle.mount(json!({"destination": "/one/new", "type": "tmpfs", "source": "tmpfs"}));
    rig.rejected(&bundle, &["mounts[6] /one/new", "symbolic links"])
}

fn without_clone3_v2_cgroup_is_joined(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    for denied in [ENOSYS, EPERM] {
        rig.denied = denied;
        let mut bundle = rig.bundle()?;
        rig.report(&mut bundle, &["cgroup"])?.is("cgroup:", &format!("/{}", rig.cgroup))?;
        rig.nothing_left()?;
    }
    Ok(())
}

/// The container's root may not open cgroup.procs; the parent has opened it.
fn without_clone3_v2_cgroup_is_joined_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    rig.denied = ENOSYS;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    rig.report(&mut bundle, &["cgroup"])?.is("cgroup:", &format!("/{}", rig.cgroup))
}

/// A new cgroup below a threaded one is "domain invalid" until it is threaded too, and no process may join it
/// (cgroup-v2.rst).
fn without_clone3_threaded_cgroup_is_joined(rig: &mut Rig) -> Outcome {
    rig.set_layout(Layout::V2)?;
    let above = cgroups::unified_top().join(&rig.cgroup);
    fs::create_dir(&above)?;
    fs::write(above.join("cgroup.type"), "threaded")?;
    let mut bundle = rig.bundle()?;
    let path = format!("/{}/one/leaf", rig.cgroup);
    bundle.set("linux.cgroupsPath", path.as_str());
    for denied in [&[][..], ENOSYS] {
        rig.denied = denied;
        rig.report(&mut bundle, &["cgroup"])?.is("cgroup:", &path)?;
        holds("the cgroup is removed", !above.join("one/leaf").exists())?;
    }
    rig.denied = &[];
    let _running = rig.waiting(&mut bundle)?;
    let kind = above.join("one/leaf/cgroup.type");
    same("cgroup.type", fs::read_to_string(kind)?.trim(), "threaded")?;
    rig.mote(&["exec", &rig.id, "/payload", "cgroup"])?.success()?.report().is("cgroup:", &path)?;
    rig.delete()?;
    // Its processes have exited; the kernel removes them from it with a delay.
    remove_cgroups(&rig.cgroup);
    holds("all cgroups are removed", !above.exists())
}

/// CLONE_NEWTIME is part of the exit signal in the flags of clone(2): the container must not run without the namespace.
fn without_clone3_time_namespace_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.namespace("time", None);
    bundle.verbs(&["say", "ran"]);
    for (denied, word) in [(ENOSYS, "not implemented"), (EPERM, "not permitted")] {
        rig.denied = denied;
        let output = rig.run(&bundle, &[])?;
        same("the standard output", output.stdout.as_str(), "")?;
        rig.failure(&output, &["clone3", word])?;
        rig.nothing_left()?;
    }
    Ok(())
}

/// An ordinary user without a user namespace in the configuration: clone(2) creates one.
fn without_clone3_user_without_privileges(rig: &mut Rig) -> Outcome {
    if rig.is(Runtime::Runc) {
        return skip_allowed("runc has no such option");
    }
    rig.denied = EPERM;
    rig.user = Some(12345);
    crate::sys::chown(&rig.dir, 12345, 12345)?;
    rig.globals.extend(["--cgroup-manager", "disabled"].map(String::from));
    let mut bundle = rig.bundle()?;
    bundle.remove("process.capabilities");
    bundle.verbs(&["say", "ran"]);
    rig.run(&bundle, &[])?.success()?.report().is("say", "ran")
}

/// A mount that is to be read-only, but has no path, because another is mounted over it.
fn without_mount_setattr_hidden_mount_is_rejected(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    for _ in 0..2 {
        bundle.mount(json!({"destination": "/etc/still/below", "type": "tmpfs", "source": "tmpfs"}));
    }
    bundle.set("linux.readonlyPaths", json!(["/etc/still"]));
    rig.report(&mut bundle, &["create", "/etc/still/below/x"])?.is("create:/etc/still/below/x", "!EROFS")?;
    rig.denied = OLD;
    rig.rejected(&bundle, &["linux.readonlyPaths /etc/still", "the mount is hidden by another"])
}
