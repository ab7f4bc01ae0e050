//! The lock of a container (flock(2) on its state directory), and its holder.
//!
//! The kernel releases the lock when its holder exits, since no child inherits it. Most commands hold it briefly. Only
//! `create` and `run` hold it while they run hooks, which may query the container with mote, or hang: while a container
//! is being created, only `delete --force` waits for the lock, after it has killed the process that is being set up.

use alloc::string::String;
use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, fstat, major, minor, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::directory::{Directory, Store, missing};
use super::snapshot;
use super::status::{State, Status};
use crate::error::{Error, Kind, On, Result};
use crate::os::{file, process, procfs};
use crate::sys::signal::send;

/// Opens and locks a container's state directory. Waits for other commands that hold the lock.
///
/// Errors: [`Kind::State`] while the container is being created; [`Kind::NotFound`] if it does not exist or was removed
/// meanwhile.
pub fn locked(store: &Store, id: &CStr) -> Result<Directory> {
    let directory = store.open(id)?;
    let free = directory.try_lock()?;
    if !free && snapshot::of(&directory)?.state == State::Creating {
        let why = format_args!("container \"{}\" is being created", directory.id());
        return Err(Error::new(Kind::State, why));
    }
    wait(directory, free)
}

/// Opens and locks a container's state directory to remove the container. If the lock is held, the container init is
/// killed first, so that a command that waits for it, or for a hook, fails and releases the lock. If there is no
/// container init yet, the process that creates the container is killed.
///
/// Errors: [`Kind::NotFound`] if the container does not exist or was removed meanwhile.
pub fn seized(store: &Store, id: &CStr) -> Result<Directory> {
    let directory = store.open(id)?;
    let free = directory.try_lock()?;
    if !free {
        let status = Status::read(&directory).unwrap_or_default().unwrap_or_default();
        match status.process.open()? {
            Some(process) => kill(&process)?,
            None if status.process.pid == 0 => kill_creator(&directory)?,
            None => {}
        }
    }
    wait(directory, free)
}

/// Waits for the lock, unless it is already held. Fails if the directory was removed meanwhile.
fn wait(directory: Directory, locked: bool) -> Result<Directory> {
    match if locked { directory.is_there() } else { directory.lock()? } {
        true => Ok(directory),
        false => Err(missing(directory.id())),
    }
}

/// Kills the mote process that is creating a container and has not cloned the container init yet: it may hang on a
/// network filesystem, or on a socket whose server does not respond. What it has created is named in the status file.
/// Without config.json the holder of the lock may be a `delete`, and is not killed.
fn kill_creator(directory: &Directory) -> Result<()> {
    let Some(pid) = holder(directory).filter(|_| directory.has_config()) else { return Ok(()) };
    let Some(process) = process::open(pid)? else { return Ok(()) };
    // Checked again: before the pidfd was opened, the PID may have been reused.
    if holder(directory) == Some(pid) { kill(&process) } else { Ok(()) }
}

/// Kills the process for whose exit the caller waits: an error must not make it wait forever.
fn kill(process: &OwnedFd) -> Result<()> {
    match send(process, Signal::KILL.as_raw()) {
        Err(Errno::SRCH) => Ok(()),
        sent => sent.on(format_args!("pidfd_send_signal SIGKILL")),
    }
}

/// The holder of the lock, from /proc/locks (proc_locks(5)); `None` also for a process in another pid namespace.
fn holder(directory: &Directory) -> Option<Pid> {
    let stat = fstat(directory.fd()).ok()?;
    let (major, minor) = (major(stat.st_dev), minor(stat.st_dev));
    let file = alloc::format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    // The PIDs are those of the pid namespace of the procfs.
    let proc = procfs::open_own(false).ok()?;
    let locks = openat(proc, c"locks", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let text = String::from_utf8(file::read_all(&locks, c"/proc/locks").ok()?).ok()?;
    text.lines().find_map(|line| parse(line, &file))
}

/// The PID in a line like `1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF`, if it is about this file. The line of a
/// process that waits has an arrow before `FLOCK`.
fn parse(line: &str, file: &str) -> Option<Pid> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let mut next = || fields.next();
    match (next(), next(), next(), next(), next()) {
        (Some("FLOCK"), _, Some("WRITE"), Some(pid), Some(found)) if found == file => {
            pid.parse().ok().and_then(Pid::from_raw)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_locks() {
        let line = |text| parse(text, "08:01:131").map(|pid| pid.as_raw_nonzero().get());
        assert_eq!(line("1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF"), Some(708));
        for other in [
            "1: -> FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  READ 708 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 708 08:01:132 0 EOF",
            "1: POSIX  ADVISORY  WRITE 708 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 08:01:131 0 EOF",
            "1: FLOCK",
            "",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
    }
}
