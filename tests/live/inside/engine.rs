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
        bundle.verbs(&["wait", "1"]);
        if name == "mapped" {
            bundle.user_namespace(0);
        }
        bundle.write()?;
    }
    fs::write(tree.join("bin/commands"), COMMANDS)?;
    Ok(fs::set_permissions(tree.join("bin/commands"), fs::Permissions::from_mode(0o755))?)
}

/// All commands that a container gets, from `create` to `delete`. The argument is the bundle.
const COMMANDS: &str = "#!/bin/sh
M='mote --root /tmp/state'
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
    let options = [&["--network", "none"], options].concat();
    let output = podman.run(&options, &["commands", bundle])?;
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

const CAPABILITIES: [&str; 4] = ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"];

/// With podman's seccomp profile, and its masked and read-only paths.
fn engine_with_capabilities(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        lives(podman, &CAPABILITIES, "plain")?;
        let words = ["mounts[0] /proc: fsmount proc", "unmask its paths", "bind mount of /proc"];
        refused(podman, &CAPABILITIES, "mapped", &words)?;
        // What the error suggests.
        let unmasked = [&CAPABILITIES[..], &["--security-opt", "unmask=ALL"]].concat();
        lives(podman, &unmasked, "mapped")
    })
}

fn engine_with_capabilities_and_the_hosts_cgroups(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = [&CAPABILITIES[..], &["--cgroupns", "host"]].concat();
        lives(podman, &options, "plain")
    })
}

fn engine_unprivileged(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        refused(podman, &[], "plain", &["clone3", "not permitted"])?;
        refused(podman, &["--cap-add", "SYS_ADMIN"], "plain", &["ioctl lo", "needs CAP_NET_ADMIN"])
    })
}

fn engine_read_only(rig: &mut Rig) -> Outcome {
    with_podman(rig, |podman| {
        let options = [&CAPABILITIES[..], &["--read-only", "--read-only-tmpfs=false"]].concat();
        let words = ["mkdirat /tmp/state", "--root", "read-only file system"];
        refused(podman, &options, "plain", &words)?;
        // podman mounts a tmpfs at /tmp.
        let options = [&CAPABILITIES[..], &["--read-only"]].concat();
        lives(podman, &options, "plain")
    })
}
