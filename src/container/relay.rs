//! The relay between a container's terminal and mote's own (`run -t`, `exec -t` in the foreground): input, output and
//! the window size (termios(3), ioctl_tty(2), signalfd(2)).

use alloc::boxed::Box;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{On, Result};
use crate::sys::fd::{inherited, stdout};

/// The relay. Dropping it restores the settings of mote's terminal.
pub struct Relay {
    master: OwnedFd,
    /// The PTY slave, kept open: without an open slave, reading the master fails with EIO.
    _peer: OwnedFd,
    /// Mote's terminal and its original settings.
    before: Option<(BorrowedFd<'static>, Termios)>,
    stdin: Option<BorrowedFd<'static>>,
    stdout: Option<BorrowedFd<'static>>,
    /// Input that is not written to the master yet.
    inward: Buffer,
    /// Output that is not written to standard output yet.
    outward: Buffer,
}

/// An upper limit for the terminal output that the kernel buffers, in units of a `Buffer`.
const MOST: usize = 64;

/// A buffer for one direction, refilled only when it is empty.
struct Buffer {
    bytes: [u8; 4096],
    from: usize,
    to: usize,
}

impl Relay {
    /// Creates the relay, and sets mote's terminal, if it has one, to raw mode: all keys go to the program, also
    /// Ctrl-C.
    pub fn new(master: OwnedFd) -> Result<Box<Self>> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let peer = ioctl_tiocgptpeer(&master, flags).on(format_args!("ioctl TIOCGPTPEER"))?;
        // Writing must not block on a program that does not read, which may itself be blocked on its output.
        let flags = fcntl_getfl(&master).on(format_args!("fcntl F_GETFL"))?;
        fcntl_setfl(&master, flags | OFlags::NONBLOCK).on(format_args!("fcntl F_SETFL"))?;
        let stdin = inherited(0);
        let before = stdin.and_then(|fd| Some((fd, tcgetattr(fd).ok()?)));
        if let Some((fd, before)) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            if !prints_on_terminal() {
                // Other programs write to the terminal, not the relay.
                raw.output_modes = before.output_modes;
            }
            tcsetattr(fd, OptionalActions::Drain, &raw).on(format_args!("ioctl TCSETSW"))?;
        }
        let (inward, outward) = (Buffer::new(), Buffer::new());
        Ok(Box::new(Relay { master, _peer: peer, before, stdin, stdout: stdout(), inward, outward }))
    }

    /// Copies the window size of mote's terminal (SIGWINCH); the kernel sends the program a SIGWINCH in turn.
    pub fn resize(&self) {
        if let Some((fd, _)) = &self.before
            && let Ok(size) = tcgetwinsize(fd)
        {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Waits for one event, and transfers the available data. Returns whether a signal can be read from `signals`.
    pub fn turn(&mut self, signals: BorrowedFd<'_>) -> Result<bool> {
        let stdin = self.stdin.filter(|_| self.inward.is_empty());
        let stdout = self.stdout.filter(|_| !self.outward.is_empty());
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.outward.is_empty());
        wanted.set(PollFlags::OUT, !self.inward.is_empty());
        let mut fds = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(self.master.as_fd(), wanted),
            // An fd that is not needed now is replaced by one that is polled anyway.
            PollFd::from_borrowed_fd(stdin.unwrap_or(signals), PollFlags::IN),
            PollFd::from_borrowed_fd(stdout.unwrap_or(signals), PollFlags::OUT),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(false),
            polled => polled.on(format_args!("poll"))?,
        };
        let [signal, master, input, output] = fds.map(|fd| !fd.revents().is_empty());
        if let Some(stdin) = stdin.filter(|_| input) {
            // End of file, or a hangup of the terminal.
            if self.inward.fill(stdin).is_err() {
                self.stdin = None;
            }
        }
        if let Some(stdout) = stdout.filter(|_| output)
            && self.outward.empty(stdout).is_err()
        {
            // No reader is left. Output is discarded from now on, so that the program does not block.
            self.stdout = None;
            self.outward.clear();
        }
        if master {
            self.exchange();
        }
        Ok(signal)
    }

    /// Writes pending input to the master, and reads output from it.
    fn exchange(&mut self) {
        if !self.inward.is_empty() {
            let _ = self.inward.empty(self.master.as_fd());
        }
        if self.outward.is_empty() {
            let _ = self.outward.fill(self.master.as_fd());
        }
        if self.stdout.is_none() {
            self.outward.clear();
        }
    }

    /// Writes the output that remains in the kernel's buffer after the program has exited. The amount is limited, since
    /// processes that the program left behind may go on to write.
    pub fn finish(mut self) {
        let Some(stdout) = self.stdout else { return };
        for _ in 0..MOST {
            // Reading fails only when the kernel's buffer is empty.
            if self.outward.is_empty() && self.outward.fill(self.master.as_fd()).is_err() {
                return;
            }
            while !self.outward.is_empty() {
                // Standard output may be non-blocking.
                let mut fds = [PollFd::from_borrowed_fd(stdout, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
                if self.outward.empty(stdout).is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether mote's standard output is a terminal.
pub fn prints_on_terminal() -> bool {
    stdout().is_some_and(isatty)
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some((fd, before)) = &self.before {
            let _ = tcsetattr(fd, OptionalActions::Drain, before);
        }
    }
}

impl Buffer {
    const fn new() -> Self {
        Buffer { bytes: [0; 4096], from: 0, to: 0 }
    }

    fn is_empty(&self) -> bool {
        self.from == self.to
    }

    fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    /// Reads once. Fails if no data is available, with EPIPE at end of file.
    fn fill(&mut self, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        self.clear();
        match read(fd, &mut self.bytes) {
            Err(Errno::INTR) => Ok(()),
            Ok(0) => Err(Errno::PIPE),
            count => count.map(|count| self.to = count),
        }
    }

    /// Writes once.
    fn empty(&mut self, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
        match write(fd, self.bytes.get(self.from..self.to).unwrap_or_default()) {
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            count => count.map(|count| self.from += count),
        }
    }
}
