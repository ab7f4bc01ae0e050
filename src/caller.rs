//! Process attributes, other than credentials, that are inherited through fork(2) and execve(2): what mote changes for
//! itself when it starts, and what containers and hooks inherit.
//!
//! | attribute | mote | a container's process | a hook |
//! |---|---|---|---|
//! | ignored signals | all but SIGCHLD | none | none |
//! | blocked signals | the caller's; with `create`, SIGPIPE and SIGXFSZ; with `run` and `exec` in the foreground, all | none | none |
//! | umask | 022 | `process.user.umask`, or 022 | the caller's |
//! | soft limit of open files | the hard one | `process.rlimits`, or the caller's | the caller's |
//! | other limits | the caller's | `process.rlimits`, or the caller's | the caller's |
//! | nice value, policy | the caller's | `process.scheduler`, or the caller's | the caller's |
//! | I/O priority | the caller's | `process.ioPriority`, or the caller's | the caller's |
//! | OOM score adjustment | the caller's | `process.oomScoreAdj`, or the caller's | the caller's |
//! | dumpable | by its file; 0, once it shares a namespace with a container | by its file | by its file |
//! | fds 0, 1, 2 | /dev/null for those closed | mote's, or a terminal | the state, and files |
//! | other fds | unused, except those that an option names | those of `--preserve-fds` | none |
//! | environment | the variables of mote(1) | `process.env` | `env`, or that of mote; inside, `process.env` |
//! | working directory | for relative paths | `process.cwd` | the bundle; see `hooks/mod.rs` |
//! | session, terminal | the caller's | new ones | the caller's |
//!
//! A `startContainer` hook is a child of the container init right before execve, and inherits all attributes from it; a
//! `createContainer` hook inherits its session and OOM score.
//!
//! - If SIGCHLD is ignored, children are reaped automatically and cannot be waited for (wait(2), "NOTES").
//! - execve resets handlers, but not ignored and blocked signals (execve(2)): without the reset, a container would
//!   ignore SIGHUP under nohup(1), and SIGINT as a background job of a shell.
//! - A low soft limit of open files is meant for select(2), which mote does not use.
//! - Files that mote creates for itself (state directories, cgroups, sockets) have exact modes; those that the caller
//!   names (PID files, logs) are subject to the caller's umask ([`file_mode`]).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use rustix::fs::Mode;
use rustix::io;
use rustix::process::umask;

use crate::error::{On, Result};
use crate::sys::fd::fill_standard;
use crate::sys::rlimit::{NOFILE, limit, set_limit};
use crate::sys::signal::{SIGCHLD, Set, block, set_default};

/// mote's own umask.
const UMASK: u32 = 0o022;

/// The caller's umask.
static CALLER_UMASK: AtomicU32 = AtomicU32::new(UMASK);
/// The caller's soft and hard limit of open files, if mote has raised the soft limit.
static CALLER_OPEN_FILES: [AtomicU64; 2] = [AtomicU64::new(NOT_RAISED), AtomicU64::new(NOT_RAISED)];

/// mote's own soft limit of open files; 0 if unknown.
static OWN_OPEN_FILES: AtomicU64 = AtomicU64::new(0);

/// The value if the limit was not raised: RLIM_INFINITY. A raised limit was below the hard one, so it cannot be that.
const NOT_RAISED: u64 = u64::MAX;

/// Sets the inherited attributes to what mote needs: see the table. The first step of the program, while it has a
/// single thread. A program that links the library may omit it, if it does not ignore SIGCHLD and its fds 0, 1 and 2
/// are open; then its umask applies to the files that mote creates.
///
/// Errors: a system call failed.
pub fn settle() -> Result<()> {
    // Before fds are opened. A failure is ignored: the limit stays.
    if let Ok((soft, hard)) = limit(NOFILE) {
        let is_raised = soft < hard && set_limit(NOFILE, hard, hard).is_ok();
        OWN_OPEN_FILES.store(if is_raised { hard } else { soft }, Relaxed);
        if is_raised {
            CALLER_OPEN_FILES.iter().zip([soft, hard]).for_each(|(place, limit)| place.store(limit, Relaxed));
        }
    }
    fill_standard().on(format_args!("openat /dev/null, for a standard descriptor that is closed"))?;
    set_default(SIGCHLD).on(format_args!("rt_sigaction SIGCHLD"))?;
    CALLER_UMASK.store(umask(Mode::from_raw_mode(UMASK)).as_raw_mode(), Relaxed);
    Ok(())
}

/// The mode of a file at a path that the caller has named, with the caller's umask.
pub fn file_mode(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & !CALLER_UMASK.load(Relaxed))
}

/// Restores the caller's umask and soft limit of open files. For a child that will execute a hook.
pub(crate) fn restore() -> io::Result<()> {
    umask(Mode::from_raw_mode(CALLER_UMASK.load(Relaxed)));
    restore_open_files()
}

/// Restores the caller's soft limit of open files. For a child that will execute another program.
#[inline(always)] // As `open_files`.
pub(crate) fn restore_open_files() -> io::Result<()> {
    open_files().map_or(Ok(()), |(soft, hard)| set_limit(NOFILE, soft, hard))
}

/// The caller's soft and hard limit of open files, if mote has raised the soft limit.
#[inline(always)] // Into what a container init runs in each start: see scripts/layout.ld.
pub(crate) fn open_files() -> Option<(u64, u64)> {
    let [soft, hard] = &CALLER_OPEN_FILES;
    let (soft, hard) = (soft.load(Relaxed), hard.load(Relaxed));
    (soft != NOT_RAISED).then_some((soft, hard))
}

/// mote's own soft limit of open files, if [`settle`] has read it; otherwise 0.
#[inline(always)] // As `open_files`.
pub(crate) fn own_open_files() -> u64 {
    OWN_OPEN_FILES.load(Relaxed)
}

/// The signals in a set: bit n-1 is signal n.
pub(crate) fn members(set: u64) -> impl Iterator<Item = i32> {
    (1..=64).filter(move |signal| set & 1 << (signal - 1) != 0)
}

/// Resets the signals in `ignored` (bit n-1 is signal n) to their default dispositions, and unblocks all (signal(7),
/// execve(2)). Pending signals are delivered to the program. For a child that will execute one.
pub(crate) fn restore_signals(ignored: u64) -> io::Result<()> {
    for signal in members(ignored) {
        // SIGKILL and SIGSTOP cannot be ignored: the kernel returns EINVAL.
        let _ = set_default(signal);
    }
    block(Set::NONE).map(drop)
}
