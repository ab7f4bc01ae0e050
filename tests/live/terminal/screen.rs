//! The terminal that a command is started on, with the test in front of it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::check::{Outcome, fail};
use crate::command::{LIMIT, Output};
use crate::report::Report;
use crate::sys;
use crate::sys::pty;

pub struct Screen {
    master: File,
    peer: OwnedFd,
    /// Everything that came, and how far `until` has looked.
    pub seen: Vec<u8>,
    looked: usize,
}

/// A command on a screen.
pub struct Seat {
    child: Child,
    done: OwnedFd,
    errors: File,
}

impl Screen {
    pub fn new() -> Outcome<Screen> {
        let master = pty::open()?;
        let peer = pty::peer(&master)?;
        pty::set_blocking(master.as_raw_fd(), false)?;
        pty::set_size(peer.as_raw_fd(), (33, 101))?;
        Ok(Screen { master: File::from(master), peer, seen: Vec::new(), looked: 0 })
    }

    /// Over a master that came from elsewhere.
    pub fn over(master: OwnedFd) -> Outcome<Screen> {
        let peer = pty::peer(&master)?;
        pty::set_blocking(master.as_raw_fd(), false)?;
        Ok(Screen { master: File::from(master), peer, seen: Vec::new(), looked: 0 })
    }

    pub fn peer(&self) -> RawFd {
        self.peer.as_raw_fd()
    }

    pub fn set_size(&self, size: (u16, u16)) -> Outcome {
        Ok(pty::set_size(self.master.as_raw_fd(), size)?)
    }

    /// Starts a command in a new session whose terminal this is. Its errors go elsewhere.
    pub fn start(&self, command: &mut Command) -> Outcome<Seat> {
        self.start_printing(command, self.peer.try_clone()?)
    }

    /// The same, but that its output goes elsewhere, too.
    pub fn start_printing(&self, command: &mut Command, output: OwnedFd) -> Outcome<Seat> {
        let errors = sys::memory_file()?;
        command.stdin(self.peer.try_clone()?).stdout(output).stderr(errors.try_clone()?);
        sys::before_exec(command, pty::set_controlling_terminal);
        let child = command.spawn()?;
        Ok(Seat { done: sys::pidfd(child.id().cast_signed())?, child, errors })
    }

    /// What is there to be read, or comes in a moment; false when that was nothing.
    fn look(&mut self, moment: i32) -> Outcome<bool> {
        let mut bytes = [0; 4096];
        pty::poll(self.master.as_raw_fd(), false, moment)?;
        match self.master.read(&mut bytes) {
            Ok(count) => {
                self.seen.extend(bytes.iter().take(count));
                Ok(count > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Ok(Err(error)?),
        }
    }

    /// Types, and takes what is printed meanwhile.
    pub fn keys(&mut self, mut keys: &[u8]) -> Outcome {
        let start = Instant::now();
        while !keys.is_empty() {
            let (printed, free) = pty::poll(self.master.as_raw_fd(), true, 100)?;
            if printed {
                self.look(0)?;
            }
            if free {
                match self.master.write(keys) {
                    Ok(count) => keys = keys.get(count..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Ok(Err(error)?),
                }
            }
            if start.elapsed() > LIMIT {
                return fail(format_args!("{} keys are not taken", keys.len()));
            }
        }
        Ok(())
    }

    /// Reads on to a line with these words and gives the facts before it.
    pub fn until(&mut self, wanted: &str) -> Outcome<Report> {
        let start = Instant::now();
        loop {
            let new = self.seen.get(self.looked..).unwrap_or_default();
            let new = String::from_utf8_lossy(new).into_owned();
            // In raw mode nothing is added to the ends of lines.
            let ends = ["\r\n", "\n"].map(|end| format!("{wanted}{end}"));
            if let Some(end) = ends.iter().find(|end| new.contains(end.as_str())) {
                let before = new.split(end.as_str()).next().unwrap_or_default();
                self.looked += before.len() + end.len();
                return Ok(Report::parse(before));
            }
            if start.elapsed() > LIMIT {
                let start: String = new.chars().take(1000).collect();
                return fail(format_args!("no {wanted:?} but {start:?}"));
            }
            self.look(100)?;
        }
    }

    /// Reads until the command has ended, and what it left.
    pub fn finish(&mut self, mut seat: Seat) -> Outcome<Output> {
        let start = Instant::now();
        while !sys::readable(&seat.done, Duration::ZERO)? {
            self.look(10)?;
            if start.elapsed() > LIMIT {
                return fail(format_args!("the command hangs; it said {:?}", seat.errors()?));
            }
        }
        while self.look(0)? {}
        let stderr = seat.errors()?;
        let status = seat.child.wait()?;
        Ok(Output { status, stdout: String::from_utf8_lossy(&self.seen).into_owned(), stderr })
    }

    /// To its end, with nothing on the standard error.
    pub fn run(&mut self, command: &mut Command) -> Outcome<Report> {
        let seat = self.start(command)?;
        Ok(self.finish(seat)?.success()?.report())
    }
}

impl Seat {
    fn errors(&mut self) -> Outcome<String> {
        let mut text = String::new();
        self.errors.rewind()?;
        self.errors.read_to_string(&mut text)?;
        Ok(text)
    }

    pub fn signal(&self, signal: i32) -> Outcome {
        Ok(sys::kill(self.child.id().cast_signed(), signal)?)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Both fail only when the command has ended and been waited for, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
