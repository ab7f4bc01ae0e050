//! Error messages for mounts that the kernel rejects: they have the reason, if it can be determined.

use std::fs;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, lacks, skip_allowed};
use crate::json;
use crate::namespaces::join::{proc_path, user_namespace_of_a_process};
use crate::rig::{Rig, Runtime};
use crate::rootless::{self, as_ordinary_user};
use crate::{sys, tests};

tests![
    "rootfs",
    mount_error_directory_onto_a_file,
    mount_error_file_onto_a_directory,
    mount_error_filesystem_onto_a_file,
    mount_error_directory_onto_a_file_of_an_earlier_mount,
    mount_error_bad_value,
    mount_error_unknown_type,
    mount_error_type_in_a_user_namespace,
    mount_error_sysfs_of_the_hosts_network,
    mount_error_mqueue_of_the_host,
    mount_error_proc_of_the_hosts_pid_namespace,
    mount_error_locked_flag,
    mount_error_locked_submounts,
];

/// Checks that `run` fails with these words, which are checked for mote only.
fn rejected(rig: &Rig, mut bundle: Bundle, words: &[&str]) -> Outcome {
    bundle.verbs(&[]);
    rig.rejected(&bundle, words)
}

/// docker matches on the end of the message and adds an explanation.
fn mount_error_directory_onto_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/hosts", "")?;
    bundle.bind(&source(rig)?, "/etc/hosts", &["rbind"]);
    rejected(rig, bundle, &["mounts[6] /etc/hosts: move_mount of a directory onto a file: not a directory\n"])
}

fn mount_error_file_onto_a_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.bind(&source(rig)?.join("file"), "/etc", &["bind", "ro"]);
    rejected(rig, bundle, &["mounts[6] /etc: move_mount of a file onto a directory: not a directory\n"])
}

fn mount_error_filesystem_onto_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/hosts", "")?;
    bundle.mount(json!({"destination": "/etc/hosts", "type": "tmpfs", "source": "tmpfs"}));
    rejected(rig, bundle, &["mounts[6] /etc/hosts: move_mount of a directory onto a file: not a directory\n"])
}

fn mount_error_directory_onto_a_file_of_an_earlier_mount(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source.join("file"), "/name", &["bind"]);
    bundle.bind(&source, "/name", &["bind"]);
    rejected(rig, bundle, &["mounts[7] /name: move_mount of a directory onto a file: not a directory\n"])
}

/// With the message of the filesystem.
fn mount_error_bad_value(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let options = vec!["size=much"];
    bundle.mount(json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": options}));
    rejected(
        rig,
        bundle,
        &["mounts[6] /x: fsconfig size=much (tmpfs: Bad value for 'size'): invalid argument"],
    )
}

fn mount_error_unknown_type(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/x", "type": "moonfs", "source": "x"}));
    rejected(rig, bundle, &["mounts[6] /x: fsopen moonfs (this kernel has no filesystem of that type)"])
}

fn mount_error_type_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    fs::create_dir(bundle.host_path("x"))?;
    bundle.mount(json!({"destination": "/x", "type": "debugfs", "source": "x"}));
    rejected(rig, bundle, &["mounts[6] /x: ", "debugfs", "needs CAP_SYS_ADMIN in the initial user namespace"])
}

/// A filesystem that shows a namespace which the user namespace does not own.
fn namespace_of_the_host(
    rig: &Rig,
    namespace: &str,
    mut change: impl FnMut(&mut Bundle),
    words: &[&str],
) -> Outcome {
    let (_holder, pid) = user_namespace_of_a_process(rig, &[])?;
    for joined in [false, true] {
        let mut bundle = rig.bundle()?;
        match joined {
            true => bundle.namespace("user", Some(&proc_path(pid, "user"))),
            false => bundle.user_namespace(100_000),
        }
        bundle.without_namespace(namespace);
        change(&mut bundle);
        rejected(rig, bundle, words)?;
    }
    Ok(())
}

fn mount_error_sysfs_of_the_hosts_network(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind-mount that of the host");
    }
    let writable = |bundle: &mut Bundle| {
        bundle.without_mount("/sys");
        bundle.mount(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs"}));
    };
    let words =
        ["/sys: ", "sysfs", "needs a network namespace that the user namespace owns", "not permitted"];
    namespace_of_the_host(rig, "network", writable, &words)
}

fn mount_error_mqueue_of_the_host(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind-mount that of the host");
    }
    let words =
        ["/dev/mqueue: ", "mqueue", "needs an IPC namespace that the user namespace owns", "not permitted"];
    namespace_of_the_host(rig, "ipc", |_| {}, &words)
}

fn mount_error_proc_of_the_hosts_pid_namespace(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind-mount that of the host");
    }
    let words = ["/proc: ", "proc", "needs a pid namespace that the user namespace owns", "not permitted"];
    namespace_of_the_host(rig, "pid", |_| {}, &words)
}

/// A user namespace may not clear flags of a mount of the host.
fn mount_error_locked_flag(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let locked = rig.dir.join("locked");
    fs::create_dir(&locked)?;
    sys::mount("none", &locked, "tmpfs", libc::MS_NOSUID | libc::MS_NOEXEC, "")?;
    let mut outputs = Vec::new();
    for words in [["bind", "suid"], ["bind", "noatime"]] {
        let mut bundle = rootless::user_namespace_bundle(rig)?;
        bundle.verbs(&[]);
        bundle.bind(&locked, "/tmp", &words);
        outputs.push(rig.run(&bundle, &[])?);
    }
    sys::umount(&locked)?;
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun do not change the flags");
    }
    let [one, two] = outputs.as_slice() else { return Ok(()) };
    one.failure(&[
        // mount_setattr, or before linux 5.12 mount.
        "mounts[6] /tmp: mount",
        " clear nosuid private (a user namespace may not clear nosuid): ",
        "permitted",
    ])?;
    lacks("the error", &one.stderr, "noexec")?;
    two.failure(&["mounts[6] /tmp: mount", " set noatime", "may not change the rule for access times"])
}

/// A non-recursive bind mount would reveal what is below the mounts of the host.
fn mount_error_locked_submounts(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let source = super::bind::with_submount(rig)?;
    let mut bundle = rootless::user_namespace_bundle(rig)?;
    bundle.bind(&source, "/tmp", &["bind"]);
    bundle.verbs(&[]);
    let output = rig.run(&bundle, &[])?;
    sys::umount(&source.join("sub"))?;
    rig.failure(&output, &["mounts[6] /tmp: open_tree ", "source", "use \"rbind\"", "invalid argument"])
}
