//! The AppArmor profile and the SELinux label of the process (apparmor(7), selinux(8), proc_pid_attr(5); config.md,
//! "apparmorProfile", "selinuxLabel").
//!
//! They are written to the host's procfs: /proc of the container could be another filesystem (CVE-2019-16884,
//! CVE-2019-19921).

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read, write};

use crate::config::process::Process;
use crate::error::{On, Result, Show};

/// The profile and the label, which take effect at the next execve.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    profile: Option<Profile>,
    label: Option<&'a CStr>,
}

/// An AppArmor profile, with the texts that are written to procfs.
#[derive(Debug)]
struct Profile {
    /// Replaces the current profile.
    exec: String,
    /// Stacks the profile on the current one.
    stack: String,
    no_new_privileges: bool,
    /// Whether it is `unconfined`, which needs no write if AppArmor is not enabled.
    none: bool,
}

/// The files of AppArmor: since linux 5.8 in a directory of its own, since several modules may be enabled; before that,
/// the files of the first module.
const APPARMOR: [&CStr; 2] = [c"self/attr/apparmor/exec", c"self/attr/exec"];
const APPARMOR_CURRENT: [&CStr; 2] = [c"self/attr/apparmor/current", c"self/attr/current"];
const SELINUX: [&CStr; 1] = [c"self/attr/exec"];
const SELINUX_KEYS: [&CStr; 1] = [c"self/attr/keycreate"];

impl<'a> Plan<'a> {
    /// The names are not checked: only the kernel knows which profiles and labels exist.
    pub fn new(process: &Process<'a>) -> Self {
        Plan {
            profile: process.apparmor_profile.map(|name| Profile {
                exec: format!("exec {}", Show(name)),
                stack: format!("stack {}", Show(name)),
                no_new_privileges: process.no_new_privileges,
                none: name == c"unconfined",
            }),
            label: process.selinux_label,
        }
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.profile.is_none() && self.label.is_none()
    }

    /// Sets profile and label for this process. `proc` is the host's procfs.
    pub fn apply(&self, proc: &OwnedFd) -> Result<()> {
        if let Some(profile) = &self.profile {
            // With no_new_privs a confined process can only stack a profile, not change it (linux 4.17).
            let stack = profile.no_new_privileges && is_confined(proc);
            let text = if stack { &profile.stack } else { &profile.exec };
            match write_to(proc, &APPARMOR, text.as_bytes()) {
                (Err(Errno::INVAL | Errno::NOENT), _) if profile.none => {}
                written => explain(written, text.as_bytes(), "process.apparmorProfile")?,
            }
        }
        match self.label {
            Some(label) => write_label(proc, &SELINUX, label.to_bytes(), "process.selinuxLabel"),
            None => Ok(()),
        }
    }
}

/// Sets the SELinux label of keys that this process creates; an empty label resets it to the default.
pub fn label_keys(proc: &OwnedFd, label: &CStr) -> Result<()> {
    write_label(proc, &SELINUX_KEYS, label.to_bytes(), "process.selinuxLabel")
}

/// Opens the first of these files that exists, and returns its path as well.
fn open(
    proc: &OwnedFd,
    paths: &[&'static CStr],
    flags: OFlags,
) -> (rustix::io::Result<OwnedFd>, &'static CStr) {
    let mut opened = (Err(Errno::NOENT), c"");
    for path in paths {
        opened = (openat(proc, *path, flags | OFlags::CLOEXEC, Mode::empty()), path);
        if !matches!(opened, (Err(Errno::NOENT), _)) {
            break;
        }
    }
    opened
}

/// Writes to the first of these files that exists, and returns its path as well.
fn write_to(proc: &OwnedFd, paths: &[&'static CStr], text: &[u8]) -> (rustix::io::Result<()>, &'static CStr) {
    let (file, path) = open(proc, paths, OFlags::WRONLY);
    (file.and_then(|file| write(&file, text)).map(drop), path)
}

/// Writes a label to the first of these files that exists; `field` is its field, for errors.
fn write_label(proc: &OwnedFd, paths: &[&'static CStr], text: &[u8], field: &str) -> Result<()> {
    explain(write_to(proc, paths, text), text, field)
}

fn explain((written, path): (rustix::io::Result<()>, &'static CStr), text: &[u8], field: &str) -> Result<()> {
    let why = match written {
        // The kernel also returns EINVAL if no module is enabled.
        Err(Errno::INVAL | Errno::NOENT) => ": the security module is not enabled, or the name is unknown",
        _ => "",
    };
    // podman searches for the path in backquotes.
    written.on(format_args!("{field}: write {} to `/proc/{}`{why}", text.escape_ascii(), Show(path)))
}

/// Whether this process is confined by an AppArmor profile.
fn is_confined(proc: &OwnedFd) -> bool {
    let mut space = [0u8; 256];
    let (file, _) = open(proc, &APPARMOR_CURRENT, OFlags::RDONLY);
    let count = file.and_then(|file| read(&file, &mut space)).unwrap_or(0);
    let current = space.get(..count).unwrap_or_default().trim_ascii_end();
    // `unconfined`, or a profile in unconfined mode, such as `crun (unconfined)`.
    !current.is_empty() && !current.starts_with(b"unconfined") && !current.ends_with(b"(unconfined)")
}
