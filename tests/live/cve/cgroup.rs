//! Cgroup mounts of containers without a cgroup namespace.

use crate::cgroups::unified;
use crate::check::{Outcome, different, skip_allowed};
use crate::rig::{Layout, Rig, Runtime};
use crate::rootless::{as_ordinary_user, user_namespace_bundle};
use crate::{json, tests};

tests![
    "cve",
    cve_2023_25809_cgroups_of_the_host_v1,
    cve_2023_25809_cgroups_of_the_host_v2,
    cve_2023_25809_cgroups_of_the_host_for_an_ordinary_user,
    cve_2023_25809_cgroups_of_the_host_for_an_ordinary_user_v2,
];

/// CVE-2023-25809 (runc before 1.1.5): without a cgroup namespace, the cgroups of the host were mounted read-write
/// in a container with a user namespace, despite the option `ro`. Fixed in runc 1.1.5; succeeds against mote if
/// `op.rs` drops the option.
fn cgroups_of_the_host(rig: &mut Rig, layout: Layout, top: &'static str) -> Outcome {
    rig.set_layout(layout)?;
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    let options = json!(["nosuid", "noexec", "nodev", "ro"]);
    let place = "/sys/fs/cgroup";
    bundle.mount(json!({"destination": place, "type": "cgroup", "source": "cgroup", "options": options}));
    let procs = format!("{top}/cgroup.procs");
    bundle.verbs(&["mkdir", &format!("{top}/new"), "put", &procs, "0"]);
    let output = rig.run(&bundle, &[])?;
    if output.code() != 0 && !rig.is(Runtime::Mote) {
        return Ok(());
    }
    let inside = output.success()?.report();
    inside.is(&format!("mkdir:{top}/new"), "!EROFS")?;
    different("a write to cgroup.procs", inside.get(&format!("put:{procs}")), "ok")
}

fn cve_2023_25809_cgroups_of_the_host_v1(rig: &mut Rig) -> Outcome {
    cgroups_of_the_host(rig, Layout::V1, "/sys/fs/cgroup/pids")
}

fn cve_2023_25809_cgroups_of_the_host_v2(rig: &mut Rig) -> Outcome {
    cgroups_of_the_host(rig, Layout::V2, "/sys/fs/cgroup")
}

/// The same for an ordinary user, who usually has no cgroup to give to the container. A cgroup mount is then an
/// empty tmpfs on v1; on v2 it is the hierarchy, read-only.
fn cgroup_mount_without_a_cgroup(rig: &mut Rig, layout: Layout) -> Outcome {
    rig.set_layout(layout)?;
    as_ordinary_user(rig)?;
    for namespace in [false, true] {
        let mut bundle = user_namespace_bundle(rig)?;
        if namespace {
            bundle.namespace("cgroup", None);
        }
        bundle.mount(
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}),
        );
        let inside = rig.report(&mut bundle, &["mounts", "mkdir", "/sys/fs/cgroup/new"])?;
        inside.mount_has("/sys/fs/cgroup", &["ro", if unified(rig) { "cgroup2" } else { "tmpfs" }])?;
        inside.is("mkdir:/sys/fs/cgroup/new", "!EROFS")?;
    }
    Ok(())
}

fn cve_2023_25809_cgroups_of_the_host_for_an_ordinary_user(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind-mount the whole hierarchy of the host");
    }
    cgroup_mount_without_a_cgroup(rig, Layout::Machine)
}

fn cve_2023_25809_cgroups_of_the_host_for_an_ordinary_user_v2(rig: &mut Rig) -> Outcome {
    cgroup_mount_without_a_cgroup(rig, Layout::V2)
}
