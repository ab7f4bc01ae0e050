//! A container's lock (flock(2) on its state directory), and who holds it.
//!
//! The kernel takes it from a process that ends, and nobody else inherits it, so a wait for it ends with its holder. Most
//! hold it for a moment. Only `create` and `run` may take as long as hooks do, which may ask mote about the container, and
//! hang: until the container is set up nothing but `delete --force` waits for them, after it has killed what they set up.

use alloc::string::String;
use core::ffi::CStr;

use rustix::fs::{CWD, Mode, OFlags, fstat, major, minor, openat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::directory::{Directory, Store, missing};
use super::snapshot;
use super::status::{State, Status};
use crate::error::{Error, Kind, Result};
use crate::os::file;
use crate::sys::signal::send;

/// The container's directory, locked: no other command changes it meanwhile. Waits for one that does, but not for its
/// creation, which is an error.
pub fn locked(store: &Store, id: &CStr) -> Result<Directory> {
    let directory = store.open(id)?;
    let free = directory.try_lock()?;
    if !free && snapshot::of(&directory)?.state == State::Creating {
        let why = format_args!("container \"{}\" is being created", directory.id());
        return Err(Error::new(Kind::State, why));
    }
    wait(directory, free)
}

/// The same for who ends the container: its process is killed first, so that whoever waits for that, or for a hook that
/// it waits for, fails and lets go of the lock. Where there is none yet, and `creator` says so, whoever creates it is.
pub fn seized(store: &Store, id: &CStr, creator: bool) -> Result<Directory> {
    let directory = store.open(id)?;
    let free = directory.try_lock()?;
    if !free {
        let status = Status::read(&directory).unwrap_or_default().unwrap_or_default();
        match status.process.open()? {
            Some(process) => drop(send(&process, Signal::KILL.as_raw())),
            None if creator && status.process.pid == 0 => kill_creator(&directory),
            None => {}
        }
    }
    wait(directory, free)
}

/// Until it is locked, if it is not: somebody may have removed it meanwhile.
fn wait(directory: Directory, locked: bool) -> Result<Directory> {
    match if locked { directory.is_there() } else { directory.lock()? } {
        true => Ok(directory),
        false => Err(missing(directory.id())),
    }
}

/// Kills the mote that is creating a container and has not come so far that there is a process to kill: it may hang on a
/// file of a network, or on a socket that nobody serves. What it has made is in its record. Not one that deletes it.
fn kill_creator(directory: &Directory) {
    let Some(pid) = holder(directory).filter(|_| directory.has_config()) else { return };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // Still: the number may have been another's before.
    if holder(directory) == Some(pid) {
        let _ = send(&process, Signal::KILL.as_raw());
    }
}

/// Who holds it, as /proc/locks has it (proc_locks(5)); `None` also for a process of another pid namespace.
fn holder(directory: &Directory) -> Option<Pid> {
    let stat = fstat(directory.fd()).ok()?;
    let (major, minor) = (major(stat.st_dev), minor(stat.st_dev));
    let file = alloc::format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    let locks = openat(CWD, c"/proc/locks", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let text = String::from_utf8(file::read_all(&locks, c"/proc/locks").ok()?).ok()?;
    text.lines().find_map(|line| parse(line, &file))
}

/// The process of a line like `1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF`, if it is about this file. Those who wait
/// have an arrow before the word.
fn parse(line: &str, file: &str) -> Option<Pid> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let mut next = || words.next();
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
