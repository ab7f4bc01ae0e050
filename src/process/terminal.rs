//! A terminal of the container's own (pty(7), ioctl_tty(2); config.md, "terminal", "consoleSize").
//!
//! It is made inside, out of the container's own devpts: outside it would have a name that means another
//! terminal there, or none. The master goes to whoever attends it: engines give a socket for that.

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

/// What the terminal is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// `None`: of the terminal that mote itself has, if it stays to attend, else unknown.
    pub size: Option<ConsoleSize>,
    /// What is printed goes to no terminal: its lines end as they were written, not with `\r\n`.
    pub plain: bool,
    /// Whose it is.
    uid: u32,
}

/// `DEVPTS_SUPER_MAGIC` of include/uapi/linux/magic.h.
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

impl Plan {
    /// A terminal for the user of the process.
    pub fn new(wanted: bool, size: Option<ConsoleSize>, uid: u32) -> Option<Self> {
        wanted.then_some(Plan { size, plain: false, uid })
    }

    /// Makes it, sends the master away, and gives the side of the process.
    pub fn open(&self, root: &Root, console: BorrowedFd<'_>) -> Result<OwnedFd> {
        self.make(root, console).at(format_args!("process.terminal"))
    }

    fn make(&self, root: &Root, console: BorrowedFd<'_>) -> Result<OwnedFd> {
        let devpts = root.open(c"/dev/pts").on(format_args!("openat2 /dev/pts"))?;
        // In there nobody but the kernel makes files; an image's directory could have anything as `ptmx`.
        let magic = fstatfs(&devpts).on(format_args!("fstatfs /dev/pts"))?.f_type;
        if magic as u64 != DEVPTS_SUPER_MAGIC {
            return Err(Error::invalid(format_args!("no devpts is mounted at /dev/pts")));
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let master =
            openat(&devpts, c"ptmx", flags, Mode::empty()).on(format_args!("openat /dev/pts/ptmx"))?;
        unlockpt(&master).on(format_args!("ioctl TIOCSPTLCK"))?;
        // By the master and not by name (linux 4.13): a name could be made to lead elsewhere.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let peer = ioctl_tiocgptpeer(&master, flags).on(format_args!("ioctl TIOCGPTPEER"))?;
        if let Some(ConsoleSize { height, width }) = self.size {
            let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&peer, size).on(format_args!("ioctl TIOCSWINSZ {height} {width}"))?;
        }
        if self.plain {
            // Before anything is printed: the kernel does it as it is written (termios(3), ONLCR).
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

/// Makes it the process's own: standard input, output and error, and what Ctrl-C on it means. The process leads
/// a session that has no terminal.
pub fn take(peer: OwnedFd) -> Result<()> {
    let all = dup2_stdin(&peer).and_then(|()| dup2_stdout(&peer)).and_then(|()| dup2_stderr(&peer));
    all.on(format_args!("process.terminal: dup2"))?;
    ioctl_tiocsctty(&peer).on(format_args!("process.terminal: ioctl TIOCSCTTY"))?;
    // Closed with all others before the program runs.
    core::mem::forget(peer);
    Ok(())
}
