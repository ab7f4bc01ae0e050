//! A process by its PID.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::procfs;
use crate::error::{Error, On, Result};

/// A pidfd of a process; `None` if there is no process with this PID, or it is the ID of a thread.
///
/// Errors: those of pidfd_open(2), also if a seccomp filter denies it with EINVAL.
pub(crate) fn open(pid: Pid) -> Result<Option<OwnedFd>> {
    let number = pid.as_raw_nonzero();
    match pidfd_open(pid, PidfdFlags::empty()) {
        // ENOENT: the ID of a thread (linux 6.16).
        Err(Errno::SRCH | Errno::NOENT) => Ok(None),
        // EINVAL: the ID of a thread, before.
        Err(Errno::INVAL) => match is_process(number.get()) {
            true => Err(Error::system(Errno::INVAL, format_args!("pidfd_open {number}"))),
            false => Ok(None),
        },
        pidfd => pidfd.map(Some).on(format_args!("pidfd_open {number}")),
    }
}

/// Whether the ID is that of a process, and not of one of its other threads (proc_pid_status(5)).
#[cold]
#[inline(never)]
fn is_process(pid: i32) -> bool {
    let mut space = [0u8; 1024];
    let status = procfs::read_process_file(pid, "status", &mut space).unwrap_or_default();
    let leader = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:\t"));
    leader.and_then(|leader| core::str::from_utf8(leader).ok()?.parse().ok()) == Some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpid;
    use rustix::thread::gettid;

    #[test]
    fn processes_and_threads() {
        assert!(open(getpid()).unwrap().is_some());
        assert!(is_process(getpid().as_raw_nonzero().get()));
        std::thread::spawn(|| {
            assert!(open(gettid()).unwrap().is_none());
            assert!(!is_process(gettid().as_raw_nonzero().get()));
        })
        .join()
        .unwrap();
        assert!(open(Pid::from_raw(i32::MAX).unwrap()).unwrap().is_none());
        assert!(!is_process(i32::MAX));
    }
}
