//! What security modules know the process as: its AppArmor profile and its SELinux label (apparmor(7),
//! selinux(8), proc_pid_attr(5); config.md, "apparmorProfile", "selinuxLabel").
//!
//! All are said through the host's procfs: one inside could be anything (CVE-2019-16884, CVE-2019-19921).

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read, write};

use crate::config::process::Process;
use crate::error::{On, Result, Show};

/// The labels, which are in force from the next program on.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    profile: Option<Profile>,
    label: Option<&'a CStr>,
}

/// As AppArmor is told.
#[derive(Debug)]
struct Profile {
    exec: String,
    /// On top of the one that mote itself is under.
    stack: String,
    no_new_privileges: bool,
    /// No profile, whatever mote itself is under: where AppArmor is not, that is so already.
    none: bool,
}

/// Its own directory since linux 5.8, for several modules may be there; before that the first one's files.
const APPARMOR: [&CStr; 2] = [c"self/attr/apparmor/exec", c"self/attr/exec"];
const APPARMOR_CURRENT: [&CStr; 2] = [c"self/attr/apparmor/current", c"self/attr/current"];
const SELINUX: [&CStr; 1] = [c"self/attr/exec"];
const SELINUX_KEYS: [&CStr; 1] = [c"self/attr/keycreate"];

impl<'a> Plan<'a> {
    /// As they are given; which there are only the kernel knows.
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

    /// Says it for this process.
    pub fn apply(&self, proc: &OwnedFd) -> Result<()> {
        if let Some(profile) = &self.profile {
            // With no_new_privs a confined process can only give up more (linux 4.17).
            let stack = profile.no_new_privileges && is_confined(proc);
            let text = if stack { &profile.stack } else { &profile.exec };
            match write_to(proc, &APPARMOR, text.as_bytes()) {
                (Err(Errno::INVAL | Errno::NOENT), _) if profile.none => {}
                written => explain(written, text.as_bytes(), "process.apparmorProfile")?,
            }
        }
        match self.label {
            Some(label) => tell(proc, &SELINUX, label.to_bytes(), "process.selinuxLabel"),
            None => Ok(()),
        }
    }
}

/// The SELinux label of keys that this process makes; an empty one is its own again.
pub fn label_keys(proc: &OwnedFd, label: &CStr) -> Result<()> {
    tell(proc, &SELINUX_KEYS, label.to_bytes(), "process.selinuxLabel")
}

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

/// Writes to the first of these files that there is, which is named.
fn write_to(proc: &OwnedFd, paths: &[&'static CStr], text: &[u8]) -> (rustix::io::Result<()>, &'static CStr) {
    let (file, path) = open(proc, paths, OFlags::WRONLY);
    (file.and_then(|file| write(&file, text)).map(drop), path)
}

fn tell(proc: &OwnedFd, paths: &[&'static CStr], text: &[u8], field: &str) -> Result<()> {
    explain(write_to(proc, paths, text), text, field)
}

fn explain((written, path): (rustix::io::Result<()>, &'static CStr), text: &[u8], field: &str) -> Result<()> {
    let why = match written {
        // EINVAL is also what is said when no module listens.
        Err(Errno::INVAL | Errno::NOENT) => ": the security module is not enabled, or does not know it",
        _ => "",
    };
    // podman looks for the path between the marks.
    written.on(format_args!("{field}: write {} to `/proc/{}`{why}", text.escape_ascii(), Show(path)))
}

/// Whether AppArmor holds this process back.
fn is_confined(proc: &OwnedFd) -> bool {
    let mut space = [0u8; 256];
    let (file, _) = open(proc, &APPARMOR_CURRENT, OFlags::RDONLY);
    let count = file.and_then(|file| read(&file, &mut space)).unwrap_or(0);
    let current = space.get(..count).unwrap_or_default().trim_ascii_end();
    // `unconfined`, or a profile for it to be known by: `crun (unconfined)`.
    !current.is_empty() && !current.starts_with(b"unconfined") && !current.ends_with(b"(unconfined)")
}
