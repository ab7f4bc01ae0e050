//! The terminal of the container (pty(7), ioctl_tty(2); config.md, "terminal", "consoleSize").
//!
//! The PTY is created in the child, from the container's devpts: the name of a PTY of the host would refer to another
//! terminal in the container, or to none. The PTY master is sent to the console socket of the engine, or to mote.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, Uid, fchown, fstatfs, openat};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::config::process::ConsoleSize;
use crate::error::{At, Error, On, Result};
use crate::os::scm_rights;
use crate::rootfs::path::Root;

/// The attributes of the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// `None`: the size of mote's own terminal if mote relays it, else unset.
    pub size: Option<ConsoleSize>,
    /// Whether output is not translated to `\r\n` line ends (ONLCR), because it is not shown on a terminal.
    pub plain: bool,
    /// The owner.
    uid: u32,
}

/// `DEVPTS_SUPER_MAGIC` of include/uapi/linux/magic.h.
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

impl Plan {
    /// The plan for a terminal that belongs to the user of the process; `None` unless `wanted`.
    pub fn new(wanted: bool, size: Option<ConsoleSize>, uid: u32) -> Option<Self> {
        wanted.then_some(Plan { size, plain: false, uid })
    }

    /// Creates the PTY, sends the master to the socket `console`, and returns the slave.
    pub fn open(&self, root: &Root, console: BorrowedFd<'_>) -> Result<OwnedFd> {
        self.make(root, console).at(format_args!("process.terminal"))
    }

    fn make(&self, root: &Root, console: BorrowedFd<'_>) -> Result<OwnedFd> {
        let devpts = root.open(c"/dev/pts").on(format_args!("openat2 /dev/pts"))?;
        // Only the kernel creates files in devpts; in a directory of the image, `ptmx` could be any file.
        let magic = fstatfs(&devpts).on(format_args!("fstatfs /dev/pts"))?.f_type;
        if magic as u64 != DEVPTS_SUPER_MAGIC {
            return Err(Error::invalid(format_args!("no devpts is mounted at /dev/pts")));
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let master =
            openat(&devpts, c"ptmx", flags, Mode::empty()).on(format_args!("openat /dev/pts/ptmx"))?;
        unlockpt(&master).on(format_args!("ioctl TIOCSPTLCK"))?;
        // Through the master and not by name (linux 4.13): a name could be redirected.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let peer = ioctl_tiocgptpeer(&master, flags).on(format_args!("ioctl TIOCGPTPEER"))?;
        if let Some(ConsoleSize { height, width }) = self.size {
            let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&peer, size).on(format_args!("ioctl TIOCSWINSZ {height} {width}"))?;
        }
        if self.plain {
            // Before anything is written: the kernel translates at the time of the write (termios(3), ONLCR).
            let mut modes = tcgetattr(&peer).on(format_args!("ioctl TCGETS"))?;
            modes.output_modes.remove(OutputModes::ONLCR);
            tcsetattr(&peer, OptionalActions::Now, &modes).on(format_args!("ioctl TCSETS"))?;
        }
        fchown(&peer, Some(Uid::from_raw(self.uid)), None).on(format_args!("fchown {}", self.uid))?;
        scm_rights::send(console, b"/dev/ptmx", master.as_fd())?;
        root.release(devpts);
        root.release(master);
        Ok(peer)
    }
}

/// Makes the PTY slave standard input, output and error, and the controlling terminal. The process must be the leader
/// of a session without a controlling terminal.
pub fn take(peer: OwnedFd) -> Result<()> {
    let all = dup2_stdin(&peer).and_then(|()| dup2_stdout(&peer)).and_then(|()| dup2_stderr(&peer));
    all.on(format_args!("process.terminal: dup2"))?;
    ioctl_tiocsctty(&peer).on(format_args!("process.terminal: ioctl TIOCSCTTY"))?;
    // Closed with all other file descriptors before the program runs.
    core::mem::forget(peer);
    Ok(())
}
