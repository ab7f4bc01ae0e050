//! The receivers of a new process's pid: a pid file, and a socket that gets a pidfd.

use alloc::ffi::CString;
use alloc::format;
use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, OFlags, openat, renameat, unlinkat};
use rustix::io::write;
use rustix::net::SocketType;
use rustix::process::Pid;

use crate::caller::file_mode;
use crate::error::{At, On, Result, Show};
use crate::os::scm_rights;

/// A pid file and a pidfd socket, if they are given.
#[derive(Clone, Copy, Debug, Default)]
pub struct PidReceivers<'a> {
    /// `--pid-file`
    pub pid_file: Option<&'a CStr>,
    /// `--pidfd-socket`, or an annotation: a socket that is sent the process's pidfd.
    pub pidfd_socket: Option<&'a CStr>,
}

impl PidReceivers<'_> {
    /// Writes the pid file and sends the pidfd, before the process runs its program.
    pub fn send(&self, pid: Pid, pidfd: &OwnedFd) -> Result<()> {
        if let Some(path) = self.pid_file {
            write_pid(path, pid)?;
        }
        if let Some(path) = self.pidfd_socket {
            scm_rights::connect(path, SocketType::STREAM)
                .and_then(|socket| scm_rights::send(socket.as_fd(), b"\0", pidfd.as_fd()))
                .at(format_args!("pidfd socket {}", Show(path)))?;
        }
        Ok(())
    }

    /// Removes the pid file: the process has failed.
    pub fn remove_pid_file(&self) {
        if let Some(path) = self.pid_file {
            let _ = unlinkat(CWD, path, AtFlags::empty());
        }
    }
}

/// The pid and nothing else, as conmon and containerd read it: whole or not at all, and not through a link
/// that somebody else has put there.
fn write_pid(path: &CStr, pid: Pid) -> Result<()> {
    let name = path.to_bytes();
    let slash = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, name) = name.split_at(slash);
    let new = CString::new([directory, b".", name, b".new"].concat()).unwrap_or_default();
    let write_new = || {
        let _ = unlinkat(CWD, new.as_c_str(), AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(CWD, new.as_c_str(), flags, file_mode(0o644))?;
        write(&file, format!("{}", pid.as_raw_nonzero()).as_bytes())?;
        renameat(CWD, new.as_c_str(), CWD, path)
    };
    write_new().on(format_args!("--pid-file {}", Show(path)))
}
