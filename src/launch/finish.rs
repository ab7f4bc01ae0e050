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
use crate::sys::self_exe::FailedCall;

/// The program, after its lookup in PATH.
pub struct FoundProgram {
    /// The index of its path among the candidates.
    pub(super) index: usize,
    /// `HOME=...`, if the configuration has none.
    home: Option<[u8; 512]>,
}

impl FoundProgram {
    /// `HOME=...`, if the configuration has none.
    pub fn home(&self) -> Option<&CStr> {
        self.home.as_ref().and_then(|space| CStr::from_bytes_until_nul(space).ok())
    }
}

/// Applies working directory, CPU affinity, scheduler, credentials and capabilities inside the container's `root`, and
/// looks up the program. `make_cwd`: a missing working directory is created; `denied`: setgroups(2) is denied. The fds
/// of `channel` and `kept_fds` (-1 for none) stay open until execve, the others are closed.
pub fn identity(
    process: &ProcessPlan<'_>,
    root: Root,
    (make_cwd, denied): (bool, bool),
    channel: &Channel,
    kept_fds: [RawFd; 4],
) -> Result<FoundProgram> {
    // Before a path of the image is looked up: open fds refer to files below masks and read-only mounts, and procfs has
    // links to them (CVE-2024-21626). And the process may wait for `start` for long.
    let [one, two, three, four] = kept_fds;
    process.fds.apply(&mut [channel.raw_fd(), one, two, three, four, root.fd().as_raw_fd()])?;

    let is_in_cwd = cwd::apply(&root, process.cwd, make_cwd)?;

    // After joining the cgroup, whose cpuset limits CPUs and nodes. Before the scheduler: with SCHED_DEADLINE the
    // affinity cannot be changed (sched(7)).
    process.affinity.apply()?;
    process.memory_policy.apply()?;
    process.scheduler.apply()?;

    // A terminal already belongs to the user.
    if process.user.uid != 0 && process.terminal.is_none() {
        let (user, group) = (Uid::from_raw(process.user.uid), Gid::from_raw(process.user.gid));
        process.fds.give_standard(user, group)?;
    }

    // Without no_new_privs, loading a filter needs CAP_SYS_ADMIN, which may be dropped next (seccomp(2)). With it, the
    // filter is loaded last, when mote has the fewest calls left to make.
    if process.is_filtered_early() {
        load_filter(process, channel)?;
    }
    // Changing the bounding set needs CAP_SETPCAP, changing IDs CAP_SETUID: the last call drops both.
    process.caps.apply_before_ids(process.user.uid)?;
    process.user.apply(denied)?;
    process.caps.apply_after_ids()?;
    // Changing IDs has set it to the value of fs.suid_dumpable (PR_SET_DUMPABLE(2const)).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).on(format_args!("prctl PR_SET_DUMPABLE"))?;
    if !is_in_cwd {
        cwd::apply_as_user(&root, process.cwd)?;
    }
    if process.no_new_privileges {
        process.caps.apply_no_new_privileges()?;
    }
    process.user.apply_umask();

    // As the user: files without execute permission for it are not candidates.
    let index = process.exec.find()?;
    let mut home = None;
    if process.env.needs_home {
        let space = home.insert([0u8; 512]);
        env::home(process.user.uid, space);
    }
    Ok(FoundProgram { index, home })
}

/// Loads the seccomp filter, if there is one. Resource limits are set right before, since the filter may deny
/// prlimit64(2) or kill the process for it.
fn load_filter(process: &ProcessPlan<'_>, channel: &Channel) -> Result<()> {
    let Some(filter) = &process.seccomp else { return Ok(()) };
    process.rlimits.apply()?;
    let loaded = match filter.has_listener() {
        true => listener::load(filter, channel),
        false => filter.load().map(drop),
    };
    loaded.at(format_args!("linux.seccomp"))
}

/// The error if the mappings of mote's executable could not be replaced.
#[cold]
pub fn not_replaced(FailedCall { errno, call }: FailedCall) -> Error {
    Error::system(errno, format_args!("/proc/self/exe: {call}"))
}

/// Sends the error to the parent, and exits.
pub fn fail(channel: &Channel, error: Error) -> ! {
    channel.send(&Message::Failed(error));
    exit(1)
}

/// Executes the program; returns only on an error. `hooks` run right before, with the program's signal dispositions and
/// seccomp filter.
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
