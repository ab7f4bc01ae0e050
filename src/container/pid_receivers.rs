//! The receivers of a new process's PID: a PID file, and a socket that receives a pidfd.

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

/// The PID file and the pidfd socket, if given.
#[derive(Clone, Copy, Debug, Default)]
pub struct PidReceivers<'a> {
    /// `--pid-file`
    pub pid_file: Option<&'a CStr>,
    /// `--pidfd-socket`, or an annotation: the AF_UNIX socket that the process's pidfd is sent to.
    pub pidfd_socket: Option<&'a CStr>,
}

impl PidReceivers<'_> {
    /// Writes the PID file and sends the pidfd. For use before the process runs its program.
    pub(crate) fn send(&self, pid: Pid, pidfd: &OwnedFd) -> Result<()> {
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

    /// Removes the PID file of a process that failed.
    pub(crate) fn remove_pid_file(&self) {
        if let Some(path) = self.pid_file {
            let _ = unlinkat(CWD, path, AtFlags::empty());
        }
    }
}

/// Writes the PID without a newline, as conmon and containerd read it. The file appears atomically, by rename(2), and a
/// symbolic link at its path is not followed.
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
