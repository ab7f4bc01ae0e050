//! State directories that another user may have written, and status files that cannot be parsed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::check::{Outcome, holds, skip_allowed};
use crate::cleanup;
use crate::rig::{Rig, Runtime};
use crate::{sys, tests};

tests![
    "commands",
    state_root_of_another_user,
    state_root_that_others_may_write,
    state_directory_of_another_user,
    invalid_status_file,
    invalid_status_file_without_cgroups_path,
    invalid_status_file_without_configuration,
    status_file_with_the_pid_of_another_process,
];

/// Checks that every command fails, and does not run a hook that another user may have added.
fn rejected(rig: &Rig, tamper: impl Fn(bool) -> Outcome, words: &str) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun do not check the owner");
    }
    let mut bundle = rig.bundle()?;
    let mark = rig.dir.join("mark");
    let (payload, path) = (rig.suite.payload.display().to_string(), mark.display().to_string());
    let hook = crate::json!({"path": payload, "args": (vec!["payload", "create", &path])});
    bundle.set("hooks.poststop[+]", hook);
    let _running = rig.waiting(&mut bundle)?;
    tamper(true)?;
    let id = rig.id.as_str();
    let commands: [&[&str]; 6] = [
        &["state", id],
        &["kill", id, "KILL"],
        &["exec", id, "/payload"],
        &["delete", "--force", id],
        &["update", "--pids-limit", "20", id],
        &["pause", id],
    ];
    for command in commands {
        let output = rig.mote(command)?;
        holds(&format!("{command:?} fails"), [1, 255].contains(&output.code()))?;
        crate::check::contains("the error", &output.stderr, words)?;
    }
    holds("the hook was not run", !mark.exists())?;
    tamper(false)?;
    rig.delete()?;
    holds("the hook was run", mark.exists())?;
    rig.nothing_left()
}

fn set_owner(path: &Path, by_another: bool) -> Outcome {
    Ok(sys::chown(path, if by_another { 1000 } else { 0 }, 0)?)
}

fn state_root_of_another_user(rig: &mut Rig) -> Outcome {
    rejected(rig, |tamper| set_owner(&rig.state, tamper), "owned by user 1000, not by user 0")
}

fn state_directory_of_another_user(rig: &mut Rig) -> Outcome {
    let directory = rig.state.join(&rig.id);
    rejected(rig, |tamper| set_owner(&directory, tamper), "owned by user 1000, not by user 0")
}

fn state_root_that_others_may_write(rig: &mut Rig) -> Outcome {
    let open = |mode: u32| {
        let set = |tamper| {
            fs::set_permissions(&rig.state, fs::Permissions::from_mode(if tamper { mode } else { 0o700 }))
        };
        rejected(rig, |tamper| Ok(set(tamper)?), "writable by group or others")
    };
    open(0o1777)?;
    fs::remove_file(rig.dir.join("mark"))?;
    open(0o770)
}

/// `delete --force` finds the processes by the cgroup.
fn invalid_status(rig: &Rig, named_by_path: bool, config: bool) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have other status files");
    }
    let mut bundle = rig.bundle()?;
    if !named_by_path {
        bundle.remove("linux.cgroupsPath");
    }
    let _running = rig.waiting(&mut bundle)?;
    let directory = rig.state.join(&rig.id);
    fs::write(directory.join("status"), "{\"pid\": ")?;
    if !config {
        fs::remove_file(directory.join("config.json"))?;
    }
    rig.mote(&["state", &rig.id])?.failure(&["status"])?;
    rig.mote(&["delete", &rig.id])?.failure(&["status"])?;
    holds("the container still runs", !cleanup::processes("MOTE_LIVE", &rig.marker).is_empty())?;
    rig.mote(&["delete", "--force", &rig.id])?.success()?;
    rig.nothing_left()
}

fn invalid_status_file(rig: &mut Rig) -> Outcome {
    invalid_status(rig, true, true)
}

fn invalid_status_file_without_cgroups_path(rig: &mut Rig) -> Outcome {
    invalid_status(rig, false, true)
}

fn invalid_status_file_without_configuration(rig: &mut Rig) -> Outcome {
    invalid_status(rig, false, false)
}

/// No process is started in a root other than the container's, whatever the status file contains.
fn status_file_with_the_pid_of_another_process(rig: &mut Rig) -> Outcome {
    if !rig.is(Runtime::Mote) {
        return skip_allowed("runc and crun have other status files");
    }
    let mut bundle = rig.bundle()?;
    let _running = rig.waiting(&mut bundle)?;
    let mut other = crate::command::start(&mut rig.host(&["say", "here", "stdin"]), true)?;
    other.lines.until("say=here")?;
    let path = rig.state.join(&rig.id).join("status");
    let status = fs::read_to_string(&path)?;
    let inode =
        std::os::linux::fs::MetadataExt::st_ino(&fs::File::from(sys::pidfd(other.pid())?).metadata()?);
    let forged = replace_number(&replace_number(&status, "pid", other.pid()), "process-inode", inode);
    fs::write(&path, forged)?;
    let list = rig.dir.join("mounts.json");
    fs::write(&list, r#"[{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]"#)?;
    let exec = rig.mote(&["exec", &rig.id, "/proc/self/exe"])?;
    crate::check::same("exit code", exec.code(), 255)?;
    crate::check::contains("the error", &exec.stderr, "is not the root that the container was created with")?;
    let mounts = rig.mote(&["mounts", "add", &rig.id, &list.display().to_string()])?;
    mounts.failure(&["is not the root that the container was created with"])?;
    fs::write(&path, status)?;
    other.close_input();
    other.status()?;
    rig.delete()?;
    rig.nothing_left()
}

fn replace_number(status: &str, name: &str, number: impl std::fmt::Display) -> String {
    let (before, after) = status.split_once(&format!("\"{name}\":")).unwrap_or((status, ""));
    let rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
    format!("{before}\"{name}\":{number}{rest}")
}
