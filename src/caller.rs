//! What a process has from whoever started it, by fork(2) and execve(2), apart from its credentials: what mote
//! changes of that for itself when it starts, and what the programs get that it starts in turn.
//!
//! | inherited | mote | a container's process | a hook |
//! |---|---|---|---|
//! | ignored signals | all but SIGCHLD | none | none |
//! | blocked signals | the caller's; all, while `run` and `exec` wait in the foreground | none | none |
//! | umask | 022 | `process.user.umask`, or 022 | the caller's |
//! | soft limit of open files | the hard one | `process.rlimits`, or the caller's | the caller's |
//! | other limits | the caller's | `process.rlimits`, or the caller's | the caller's |
//! | nice value, policy | the caller's | `process.scheduler`, or the caller's | the caller's |
//! | I/O priority | the caller's | `process.ioPriority`, or the caller's | the caller's |
//! | OOM score adjustment | the caller's | `process.oomScoreAdj`, or the caller's | the caller's |
//! | dumpable | as its file is; off, once it shares a namespace with a container | as its file is | as its file is |
//! | descriptors 0, 1, 2 | /dev/null for those closed | mote's, or a terminal | the state, and files |
//! | other descriptors | none is used, but what an option names | those of `--preserve-fds` | none |
//! | environment | the variables of mote(1) | `process.env` | `env`, or that of mote; inside, `process.env` |
//! | working directory | for relative paths | `process.cwd` | the bundle; see `hooks.rs` |
//! | session, terminal | the caller's | new ones | the caller's |
//!
//! A `startContainer` hook is started by the container's process right before its program and has all that this one has;
//! a `createContainer` hook has its session and its score.
//!
//! - A child of who ignores SIGCHLD is reaped unseen: nobody could wait for it (wait(2), "NOTES").
//! - Handlers end with execve, what is ignored or blocked does not: a program that does not know would ignore SIGTERM
//!   under nohup(1), or as a shell's background job.
//! - Who sets the soft limit of open files low does it for select(2), which mote has no use of.
//! - Modes of what mote makes (state directories, cgroups, sockets) are meant exactly; what the caller names (pid files,
//!   logs) is made as its umask has it ([`file_mode`]).

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use rustix::fs::Mode;
use rustix::io;
use rustix::process::umask;

use crate::error::{On, Result};
use crate::sys::fd::fill_standard;
use crate::sys::rlimit::{NOFILE, limit, set_limit};
use crate::sys::signal::{SIGCHLD, Set, block, set_default};

/// Mote's own.
const UMASK: u32 = 0o022;

/// The caller's umask, and its limits of open files where mote has raised the soft one.
static ITS_UMASK: AtomicU32 = AtomicU32::new(UMASK);
static ITS_OPEN_FILES: [AtomicU64; 2] = [AtomicU64::new(NOT_RAISED), AtomicU64::new(NOT_RAISED)];

/// Of a soft limit, no limit: it cannot be below the hard one.
const NOT_RAISED: u64 = u64::MAX;

/// Makes of what was inherited what mote needs: its first act.
pub fn settle() -> Result<()> {
    // Before descriptors are opened. Where the kernel will not, less has to do.
    if let Ok((soft, hard)) = limit(NOFILE)
        && soft < hard
        && set_limit(NOFILE, hard, hard).is_ok()
    {
        ITS_OPEN_FILES.iter().zip([soft, hard]).for_each(|(place, limit)| place.store(limit, Relaxed));
    }
    fill_standard().on(format_args!("openat /dev/null, for a standard descriptor that is closed"))?;
    set_default(SIGCHLD).on(format_args!("rt_sigaction SIGCHLD"))?;
    ITS_UMASK.store(umask(Mode::from_raw_mode(UMASK)).as_raw_mode(), Relaxed);
    Ok(())
}

/// The mode for a file at a path that the caller has named.
pub fn file_mode(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & !ITS_UMASK.load(Relaxed))
}

/// The caller's umask and its soft limit of open files again. In the child that is to become a hook.
pub fn restore() -> io::Result<()> {
    umask(Mode::from_raw_mode(ITS_UMASK.load(Relaxed)));
    restore_open_files()
}

/// The caller's soft limit of open files again. In the child that is to become another program.
pub fn restore_open_files() -> io::Result<()> {
    match ITS_OPEN_FILES.each_ref().map(|limit| limit.load(Relaxed)) {
        [NOT_RAISED, _] => Ok(()),
        [soft, hard] => set_limit(NOFILE, soft, hard),
    }
}

/// Signals as a program finds them (signal(7), execve(2)): none is blocked, and none ignored, of those in `ignored`. One
/// that came while it was blocked is the program's. In the child that is to become it.
pub fn restore_signals(ignored: u64) -> io::Result<()> {
    for signal in (1..=64).filter(|signal| ignored & 1 << (signal - 1) != 0) {
        // KILL and STOP are never ignored, and the kernel says EINVAL.
        let _ = set_default(signal);
    }
    block(Set::NONE).map(drop)
}
