//! Mounts that the kernel refuses: what is known of the reason is said.

use std::fs;

use super::source;
use crate::bundle::Bundle;
use crate::check::{Outcome, lacks, skip_allowed};
use crate::json;
use crate::namespaces::join::{user_namespace_of_a_process, proc_path};
use crate::rig::{Runtime, Rig};
use crate::rootless::{self, as_ordinary_user};
use crate::{sys, tests};

tests![
    "rootfs",
    refused_directory_onto_a_file,
    refused_file_onto_a_directory,
    refused_filesystem_onto_a_file,
    refused_directory_onto_the_file_mounted_before,
    refused_bad_value,
    refused_unknown_type,
    refused_type_in_a_user_namespace,
    refused_sysfs_of_the_hosts_network,
    refused_mqueue_of_the_hosts,
    refused_proc_of_the_hosts_pids,
    refused_flag_that_is_locked,
    refused_mounts_that_stay_where_they_are,
];

/// `run` fails and says so; the words are mote's own.
fn rejected(rig: &Rig, mut bundle: Bundle, words: &[&str]) -> Outcome {
    bundle.verbs(&[]);
    rig.rejected(&bundle, words)
}

/// docker looks for the last words, and tells what is to be done.
fn refused_directory_onto_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/hosts", "")?;
    bundle.bind(&source(rig)?, "/etc/hosts", &["rbind"]);
    rejected(rig, bundle, &["mounts[6] /etc/hosts: move_mount of a directory onto a file: not a directory\n"])
}

fn refused_file_onto_a_directory(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.bind(&source(rig)?.join("file"), "/etc", &["bind", "ro"]);
    rejected(rig, bundle, &["mounts[6] /etc: move_mount of a file onto a directory: not a directory\n"])
}

fn refused_filesystem_onto_a_file(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.file("/etc/hosts", "")?;
    bundle.mount(json!({"destination": "/etc/hosts", "type": "tmpfs", "source": "tmpfs"}));
    rejected(rig, bundle, &["mounts[6] /etc/hosts: move_mount of a directory onto a file: not a directory\n"])
}

fn refused_directory_onto_the_file_mounted_before(rig: &mut Rig) -> Outcome {
    let source = source(rig)?;
    let mut bundle = rig.bundle()?;
    bundle.bind(&source.join("file"), "/name", &["bind"]);
    bundle.bind(&source, "/name", &["bind"]);
    rejected(rig, bundle, &["mounts[7] /name: move_mount of a directory onto a file: not a directory\n"])
}

/// In the kernel's own words.
fn refused_bad_value(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    let options = vec!["size=much"];
    bundle.mount(json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": options}));
    rejected(
        rig,
        bundle,
        &["mounts[6] /x: fsconfig size=much (tmpfs: Bad value for 'size'): invalid argument"],
    )
}

fn refused_unknown_type(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.mount(json!({"destination": "/x", "type": "moonfs", "source": "x"}));
    rejected(rig, bundle, &["mounts[6] /x: fsopen moonfs (this kernel has no filesystem of that type)"])
}

fn refused_type_in_a_user_namespace(rig: &mut Rig) -> Outcome {
    let mut bundle = rig.bundle()?;
    bundle.user_namespace(100_000);
    fs::create_dir(bundle.host_path("x"))?;
    bundle.mount(json!({"destination": "/x", "type": "debugfs", "source": "x"}));
    rejected(rig, bundle, &["mounts[6] /x: ", "debugfs", "needs CAP_SYS_ADMIN in the initial user namespace"])
}

/// The namespace that such a filesystem shows is not the user namespace's own.
fn of_the_hosts(rig: &Rig, namespace: &str, mut change: impl FnMut(&mut Bundle), words: &[&str]) -> Outcome {
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

fn refused_sysfs_of_the_hosts_network(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind the host's");
    }
    let writable = |bundle: &mut Bundle| {
        bundle.without_mount("/sys");
        bundle.mount(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs"}));
    };
    let words =
        ["/sys: ", "sysfs", "needs a network namespace that the user namespace owns", "not permitted"];
    of_the_hosts(rig, "network", writable, &words)
}

fn refused_mqueue_of_the_hosts(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind the host's");
    }
    let words =
        ["/dev/mqueue: ", "mqueue", "needs an IPC namespace that the user namespace owns", "not permitted"];
    of_the_hosts(rig, "ipc", |_| {}, &words)
}

fn refused_proc_of_the_hosts_pids(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun bind the host's");
    }
    let words = ["/proc: ", "proc", "needs a pid namespace that the user namespace owns", "not permitted"];
    of_the_hosts(rig, "pid", |_| {}, &words)
}

/// What the host's mount has is not a user's to take away.
fn refused_flag_that_is_locked(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let locked = rig.dir.join("locked");
    fs::create_dir(&locked)?;
    sys::mount("none", &locked, "tmpfs", libc::MS_NOSUID | libc::MS_NOEXEC, "")?;
    let mut told = Vec::new();
    for words in [["bind", "suid"], ["bind", "noatime"]] {
        let mut bundle = rootless::user_namespace_bundle(rig)?;
        bundle.verbs(&[]);
        bundle.bind(&locked, "/tmp", &words);
        told.push(rig.run(&bundle, &[])?);
    }
    sys::umount(&locked)?;
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun leave it as it is");
    }
    let [one, two] = told.as_slice() else { return Ok(()) };
    one.failure(&[
        "mounts[6] /tmp: mount_setattr clear nosuid private (a user namespace may not clear nosuid): ",
        "permitted",
    ])?;
    lacks("the error", &one.stderr, "noexec")?;
    two.failure(&["mounts[6] /tmp: mount_setattr set noatime", "may not change the rule for access times"])
}

/// A bind mount without what the host has mounted below would show what that hides.
fn refused_mounts_that_stay_where_they_are(rig: &mut Rig) -> Outcome {
    as_ordinary_user(rig)?;
    let source = super::bind::with_submount(rig)?;
    let mut bundle = rootless::user_namespace_bundle(rig)?;
    bundle.bind(&source, "/tmp", &["bind"]);
    bundle.verbs(&[]);
    let output = rig.run(&bundle, &[])?;
    sys::umount(&source.join("sub"))?;
    rig.failure(&output, &["mounts[6] /tmp: open_tree ", "source", "use \"rbind\"", "invalid argument"])
}
