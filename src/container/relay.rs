//! Between a container's terminal and mote's own (`run -t`, `exec -t` in the foreground): what is typed goes
//! in, what is printed comes out, the window's size follows (termios(3), ioctl_tty(2), signalfd(2)).

use alloc::boxed::Box;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{On, Result};
use crate::sys::fd::{inherited, stdout};

/// The relay; dropping it gives mote's terminal back as it was.
pub struct Relay {
    master: OwnedFd,
    /// Held open: with nobody on the other side the master would say only that.
    _peer: OwnedFd,
    /// Mote's terminal, and how it was.
    before: Option<(BorrowedFd<'static>, Termios)>,
    stdin: Option<BorrowedFd<'static>>,
    stdout: Option<BorrowedFd<'static>>,
    /// Typed, and not taken yet.
    inward: Buffer,
    /// Printed, and not written yet.
    outward: Buffer,
}

/// How many times what a buffer holds the kernel may keep of a terminal's output, and more.
const MOST: usize = 64;

/// Bytes on their way: filled when it is empty.
struct Buffer {
    bytes: [u8; 4096],
    from: usize,
    to: usize,
}

impl Relay {
    /// Takes over mote's terminal, if it has one: every key is the program's, also Ctrl-C.
    pub fn new(master: OwnedFd) -> Result<Box<Self>> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let peer = ioctl_tiocgptpeer(&master, flags).on(format_args!("ioctl TIOCGPTPEER"))?;
        // Writing must not wait for a program that does not read: it may be waiting to print.
        let flags = fcntl_getfl(&master).on(format_args!("fcntl F_GETFL"))?;
        fcntl_setfl(&master, flags | OFlags::NONBLOCK).on(format_args!("fcntl F_SETFL"))?;
        let stdin = inherited(0);
        let before = stdin.and_then(|fd| Some((fd, tcgetattr(fd).ok()?)));
        if let Some((fd, before)) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            if !prints_on_terminal() {
                // Whoever prints there does not come through here.
                raw.output_modes = before.output_modes;
            }
            tcsetattr(fd, OptionalActions::Drain, &raw).on(format_args!("ioctl TCSETSW"))?;
        }
        let (inward, outward) = (Buffer::new(), Buffer::new());
        Ok(Box::new(Relay { master, _peer: peer, before, stdin, stdout: stdout(), inward, outward }))
    }

    /// The window of mote's terminal has changed (SIGWINCH): the kernel tells the program in turn.
    pub fn resize(&self) {
        if let Some((fd, _)) = &self.before
            && let Ok(size) = tcgetwinsize(fd)
        {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Waits until something can be moved, and moves it. Whether a signal is there to be taken.
    pub fn turn(&mut self, signals: BorrowedFd<'_>) -> Result<bool> {
        let stdin = self.stdin.filter(|_| self.inward.is_empty());
        let stdout = self.stdout.filter(|_| !self.outward.is_empty());
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, self.outward.is_empty());
        wanted.set(PollFlags::OUT, !self.inward.is_empty());
        let mut fds = [
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(self.master.as_fd(), wanted),
            // In the place of one that is not wanted now stands one that is there already.
            PollFd::from_borrowed_fd(stdin.unwrap_or(signals), PollFlags::IN),
            PollFd::from_borrowed_fd(stdout.unwrap_or(signals), PollFlags::OUT),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(false),
            polled => polled.on(format_args!("poll"))?,
        };
        let [signal, master, input, output] = fds.map(|fd| !fd.revents().is_empty());
        if let Some(stdin) = stdin.filter(|_| input) {
            // Its end, or nobody there to type any more.
            if self.inward.fill(stdin).is_err() {
                self.stdin = None;
            }
        }
        if let Some(stdout) = stdout.filter(|_| output)
            && self.outward.empty(stdout).is_err()
        {
            // Nobody reads: the program is not to wait for that.
            self.stdout = None;
            self.outward.clear();
        }
        if master {
            self.exchange();
        }
        Ok(signal)
    }

    /// What the master takes and has.
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

    /// The program has ended: what it has printed still comes out. Not what somebody whom it has left behind goes
    /// on to print: there is an end to what the kernel keeps.
    pub fn finish(mut self) {
        let Some(stdout) = self.stdout else { return };
        for _ in 0..MOST {
            // The kernel has everything that was printed there before it says that there is nothing.
            if self.outward.is_empty() && self.outward.fill(self.master.as_fd()).is_err() {
                return;
            }
            while !self.outward.is_empty() {
                // It may be one that does not wait by itself.
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

    /// Reads once; an error when nothing came.
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
