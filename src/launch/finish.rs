//! The last steps of a container init and of an exec process: identity, capabilities, open fds, and execve.

use core::ffi::CStr;

use rustix::fd::{AsRawFd, RawFd};
use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::listener;
use super::message::{Channel, Message};
use crate::error::{At, Error, On, Result};
use crate::plan::ProcessPlan;
use crate::process::{cwd, env};
use crate::rootfs::path::Root;
use crate::sys::clone::exit;

/// The program, found and ready to be run.
pub struct FoundProgram {
    /// Which of the places where it could be.
    index: usize,
    /// `HOME=...`, when the configuration has none.
    home: Option<[u8; 512]>,
}

impl FoundProgram {
    /// The variable, if it is not among the configured.
    pub fn home(&self) -> Option<&CStr> {
        self.home.as_ref().and_then(|space| CStr::from_bytes_until_nul(space).ok())
    }
}

/// Takes on the container's identity, inside its `root`; `make_cwd` is whether a missing working directory is
/// made, `denied` whether setgroups(2) is. `channel` and `lines`, -1 for none, are the descriptors that stay open until
/// execve.
pub fn identity(
    process: &ProcessPlan<'_>,
    root: Root,
    (make_cwd, denied): (bool, bool),
    channel: &Channel,
    lines: [RawFd; 3],
) -> Result<FoundProgram> {
    // Before anything of the image is looked up by path: what is open still leads beneath masks and read-only
    // mounts, and procfs has links to it (CVE-2024-21626). And the process may wait for `start` for long.
    let [one, two, three] = lines;
    process.fds.apply(&mut [channel.raw_fd(), one, two, three, root.fd().as_raw_fd()])?;

    let arrived = cwd::apply(&root, process.cwd, make_cwd)?;

    // In its cgroup, whose CPUs and nodes are all that there are; SCHED_DEADLINE takes no other list afterwards.
    process.affinity.apply()?;
    process.memory_policy.apply()?;
    process.scheduler.apply()?;

    // A terminal has its owner already.
    if process.user.uid != 0 && process.terminal.is_none() {
        let (user, group) = (Uid::from_raw(process.user.uid), Gid::from_raw(process.user.gid));
        process.fds.give_standard(user, group)?;
    }

    // Without no_new_privs loading a filter takes CAP_SYS_ADMIN, which may be gone after the next line; with it, it
    // can wait for the very last moment, when mote has no calls of its own left to make.
    if process.is_filtered_early() {
        load_filter(process, channel)?;
    }
    // The bounding set needs CAP_SETPCAP, ids need CAP_SETUID: both are gone after the last line.
    process.caps.apply_before_ids(process.user.uid)?;
    process.user.apply(denied)?;
    process.caps.apply_after_ids()?;
    // Changing ids has set it to what fs.suid_dumpable says.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    if !arrived {
        cwd::apply_as_user(&root, process.cwd)?;
    }
    if process.no_new_privileges {
        process.caps.apply_no_new_privileges()?;
    }
    process.user.apply_umask();

    // As the user: what it may not execute is not found.
    let place = process.exec.find()?;
    let mut home = None;
    if process.env.needs_home {
        let space = home.insert([0u8; 512]);
        env::home(process.user.uid, space);
    }
    Ok(FoundProgram { index: place, home })
}

/// The container's limits come with it, where there is one: it may refuse to set them, or kill for it.
fn load_filter(process: &ProcessPlan<'_>, channel: &Channel) -> Result<()> {
    let Some(filter) = &process.seccomp else { return Ok(()) };
    process.rlimits.apply()?;
    let loaded = match filter.has_listener() {
        true => listener::load(filter, channel),
        false => filter.load().map(drop),
    };
    loaded.at(format_args!("linux.seccomp"))
}

/// Sends the error to the parent, and exits.
pub fn fail(channel: &Channel, error: Error) -> ! {
    channel.send(&Message::Failed(error));
    exit(1)
}

/// Becomes the program; comes back only with the reason why not. `hooks` run before, in the program's place: with its
/// signals, and behind its filter.
pub fn become_program(
    process: &ProcessPlan<'_>,
    program: &FoundProgram,
    channel: &Channel,
    hooks: impl FnOnce() -> Result<()>,
) -> Error {
    let limits = || if process.seccomp.is_none() { process.rlimits.apply() } else { Ok(()) };
    if let Err(error) = confine(process, channel).and_then(|()| hooks()).and_then(|()| limits()) {
        return error;
    }
    process.exec.run(program.index, &process.env.variables, program.home())
}

fn confine(process: &ProcessPlan<'_>, channel: &Channel) -> Result<()> {
    process.signals.apply()?;
    match process.is_filtered_early() {
        true => Ok(()),
        false => load_filter(process, channel),
    }
}
