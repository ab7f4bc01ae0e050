//! mote in a container of podman, with the capabilities, the seccomp profile and the protected paths that podman gives it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bundle::Bundle;
use crate::check::{Outcome, contains, fail, same, skip_allowed};
use crate::clients::Podman;
use crate::rig::{Rig, Runtime};
use crate::tests;

tests![
    "inside",
    alone: true,
    engine_privileged,
    engine_privileged_with_a_user_namespace,
    engine_with_capabilities,
    engine_with_capabilities_and_the_hosts_cgroups,
    engine_unprivileged,
    engine_read_only,
];

/// Adds mote and bundles to the image: `plain`, and `mapped` with a user namespace.
fn add(rig: &Rig, tree: &Path) -> Outcome {
    fs::copy(&rig.suite.runtime, tree.join("bin/mote"))?;
    for name in ["plain", "mapped"] {
        let mut bundle = Bundle::new(tree.join(name), &rig.suite.payload, &rig.marker, "")?;
        bundle.remove("linux.cgroupsPath");
        // With cgroup v2 only, device rules need a cgroup that can be written to.
        bundle.remove("linux.resources");
        bundle.verbs(&["wait", "1"]);
        if name == "mapped" {
            bundle.user_namespace(0);
        }
        bundle.write()?;
    }
    fs::write(tree.join("bin/commands"), COMMANDS)?;
    Ok(fs::set_permissions(tree.join("bin/commands"), fs::Permissions::from_mode(0o755))?)
}

/// All commands that a container gets, from `create` to `delete`. The arguments are the bundle and global options.
const COMMANDS: &str = "#!/bin/sh
M=\"mote --root /tmp/state $2\"
$M create --bundle /$1 x </dev/null >/dev/null || exit
$M start x
$M exec x /payload id uts
echo status=$($M state x | grep '\"status\"')
$M kill x KILL
$M delete --force x
echo left=$(ls /tmp/state)
";

fn with_podman(rig: &mut Rig, test: fn(&Podman) -> Outcome) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("the image has only mote");
    }
    let podman = Podman::with_image(rig, |tree| add(rig, tree))?;
    test(&podman)?;
    podman.finish()
}

fn lives(podman: &Podman, options: &[&str], bundle: &str) -> Outcome {
    works(podman, options, &["commands", bundle])
}

/// The same with cgroups that cannot be written to. On cgroup v2 a container without limits has device rules all the same,
/// so that it needs one, unless this is given up.
fn lives_without_cgroup(podman: &Podman, options: &[&str], bundle: &str) -> Outcome {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return lives(podman, options, bundle);
    }
    refused(podman, options, bundle, &["cgroup /x: mkdirat", "read-only file system"])?;
    works(podman, options, &["commands", bundle, "--cgroup-manager disabled"])
}

fn works(podman: &Podman, options: &[&str], words: &[&str]) -> Outcome {
    let options = [&["--network", "none"], options].concat();
    let output = podman.run(&options, words)?;
    if output.code() != 0 {
        return fail(format_args!("{options:?}: exit code {}: {}", output.code(), output.stderr));
    }
    same("the standard error", output.stderr.as_str(), "")?;
    let report = output.report();
    report.is("uid", "0 0 0")?;
    report.is("hostname", "inside")?;
    contains("status", report.get("status"), "running")?;
    report.is("left", "")
}

fn refused(podman: &Podman, options: &[&str], bundle: &str, words: &[&str]) -> Outcome {
    let options = [&["--network", "none"], options].concat();
    podman.run(&options, &["commands", bundle])?.failure(words)
}

fn engine_privileged(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        lives(podman, &["--privileged"], "plain")?;
        lives(podman, &["--privileged"], "mapped")
    })
}

fn engine_privileged_with_a_user_namespace(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = ["--privileged", "--uidmap", "0:100000:65536"];
        lives(podman, &options, "plain")?;
        lives(podman, &options, "mapped")
    })
}

/// The container's own process has CAP_AUDIT_WRITE, which newer versions of podman do not give by default. The AppArmor
/// profile of podman denies mount(2).
const CAPABILITIES: [&str; 4] =
    ["--cap-add", "SYS_ADMIN,NET_ADMIN,AUDIT_WRITE", "--security-opt", "apparmor=unconfined"];

/// With podman's seccomp profile, and its masked and read-only paths.
fn engine_with_capabilities(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        lives_without_cgroup(podman, &CAPABILITIES, "plain")?;
        let words = ["mounts[0] /proc: fsmount proc", "unmask its paths", "bind mount of /proc"];
        let arguments = ["commands", "mapped", "--cgroup-manager disabled"];
        let options = [&["--network", "none"], &CAPABILITIES[..]].concat();
        podman.run(&options, &arguments)?.failure(&words)?;
        // What the error suggests. The cgroups can be written to then.
        let unmasked = [&CAPABILITIES[..], &["--security-opt", "unmask=ALL"]].concat();
        lives(podman, &unmasked, "mapped")
    })
}

fn engine_with_capabilities_and_the_hosts_cgroups(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = [&CAPABILITIES[..], &["--cgroupns", "host"]].concat();
        lives_without_cgroup(podman, &options, "plain")
    })
}

fn engine_unprivileged(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let fails = |options: &[&str], words: &[&str]| {
            let options = [&["--network", "none", "--cap-add", "AUDIT_WRITE"], options].concat();
            podman.run(&options, &["commands", "plain", "--cgroup-manager disabled"])?.failure(words)
        };
        // clone3(2), or with the user namespace a later call.
        fails(&[], &["mote: ", "runs under a seccomp filter, which may deny it"])?;
        fails(&["--cap-add", "SYS_ADMIN"], &["ioctl lo", "needs CAP_NET_ADMIN"])
    })
}

fn engine_read_only(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = [&CAPABILITIES[..], &["--read-only", "--read-only-tmpfs=false"]].concat();
        let words = ["mkdirat /tmp/state", "--root", "read-only file system"];
        refused(podman, &options, "plain", &words)?;
        // podman mounts a tmpfs at /tmp.
        let options = [&CAPABILITIES[..], &["--read-only"]].concat();
        lives_without_cgroup(podman, &options, "plain")
    })
}
