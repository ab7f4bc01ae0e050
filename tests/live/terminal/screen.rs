//! A terminal on which a command is started, with the test at its master.

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
    /// All output, and the position up to which `until` has searched.
    pub seen: Vec<u8>,
    searched: usize,
}

/// A command that was started on a screen.
pub struct ScreenCommand {
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
        Ok(Screen { master: File::from(master), peer, seen: Vec::new(), searched: 0 })
    }

    /// A screen with a master that was received from elsewhere.
    pub fn over(master: OwnedFd) -> Outcome<Screen> {
        let peer = pty::peer(&master)?;
        pty::set_blocking(master.as_raw_fd(), false)?;
        Ok(Screen { master: File::from(master), peer, seen: Vec::new(), searched: 0 })
    }

    pub fn peer(&self) -> RawFd {
        self.peer.as_raw_fd()
    }

    pub fn set_size(&self, size: (u16, u16)) -> Outcome {
        Ok(pty::set_size(self.master.as_raw_fd(), size)?)
    }

    /// Starts a command in a new session with this controlling terminal. Its standard error is a file.
    pub fn start(&self, command: &mut Command) -> Outcome<ScreenCommand> {
        self.start_printing(command, self.peer.try_clone()?)
    }

    /// The same, with the terminal as standard error, too.
    pub fn start_on_it(&self, command: &mut Command) -> Outcome<ScreenCommand> {
        let errors = sys::memory_file()?;
        let peer = || self.peer.try_clone();
        command.stdin(peer()?).stdout(peer()?).stderr(peer()?);
        sys::before_exec(command, pty::set_controlling_terminal);
        let child = command.spawn()?;
        Ok(ScreenCommand { done: sys::pidfd(child.id().cast_signed())?, child, errors })
    }

    /// The same, with another standard output.
    pub fn start_printing(&self, command: &mut Command, output: OwnedFd) -> Outcome<ScreenCommand> {
        let errors = sys::memory_file()?;
        command.stdin(self.peer.try_clone()?).stdout(output).stderr(errors.try_clone()?);
        sys::before_exec(command, pty::set_controlling_terminal);
        let child = command.spawn()?;
        Ok(ScreenCommand { done: sys::pidfd(child.id().cast_signed())?, child, errors })
    }

    /// Reads available output, waiting for at most this many milliseconds; `false` if there is none.
    fn read_available(&mut self, timeout: i32) -> Outcome<bool> {
        let mut bytes = [0; 4096];
        pty::poll(self.master.as_raw_fd(), false, timeout)?;
        match self.master.read(&mut bytes) {
            Ok(count) => {
                self.seen.extend(bytes.iter().take(count));
                Ok(count > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Ok(Err(error)?),
        }
    }

    /// Writes input, and reads the output at the same time, so that neither blocks.
    pub fn keys(&mut self, mut keys: &[u8]) -> Outcome {
        let start = Instant::now();
        while !keys.is_empty() {
            let (printed, free) = pty::poll(self.master.as_raw_fd(), true, 100)?;
            if printed {
                self.read_available(0)?;
            }
            if free {
                match self.master.write(keys) {
                    Ok(count) => keys = keys.get(count..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Ok(Err(error)?),
                }
            }
            if start.elapsed() > LIMIT {
                return fail(format_args!("{} keys are not accepted", keys.len()));
            }
        }
        Ok(())
    }

    /// Reads up to a line with this text, and parses the lines before it.
    pub fn until(&mut self, wanted: &str) -> Outcome<Report> {
        let start = Instant::now();
        loop {
            let new = self.seen.get(self.searched..).unwrap_or_default();
            let new = String::from_utf8_lossy(new).into_owned();
            // In raw mode, lines end without `\r`.
            let ends = ["\r\n", "\n"].map(|end| format!("{wanted}{end}"));
            if let Some(end) = ends.iter().find(|end| new.contains(end.as_str())) {
                let before = new.split(end.as_str()).next().unwrap_or_default();
                self.searched += before.len() + end.len();
                return Ok(Report::parse(before));
            }
            if start.elapsed() > LIMIT {
                let start: String = new.chars().take(1000).collect();
                return fail(format_args!("no {wanted:?} but {start:?}"));
            }
            self.read_available(100)?;
        }
    }

    /// Reads until the command has exited, and what is left after that.
    pub fn finish(&mut self, mut running: ScreenCommand) -> Outcome<Output> {
        let start = Instant::now();
        while !sys::readable(&running.done, Duration::ZERO)? {
            self.read_available(10)?;
            if start.elapsed() > LIMIT {
                return fail(format_args!("the command hangs; standard error {:?}", running.errors()?));
            }
        }
        while self.read_available(0)? {}
        let stderr = running.errors()?;
        let status = running.child.wait()?;
        Ok(Output { status, stdout: String::from_utf8_lossy(&self.seen).into_owned(), stderr })
    }

    /// Runs a command, and checks that it succeeds with an empty standard error.
    pub fn run(&mut self, command: &mut Command) -> Outcome<Report> {
        let running = self.start(command)?;
        Ok(self.finish(running)?.success()?.report())
    }
}

impl ScreenCommand {
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

impl Drop for ScreenCommand {
    fn drop(&mut self) {
        // Both fail only if the command has exited and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
