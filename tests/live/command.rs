//! Runs commands with a time limit. Their output goes to files, so that a command never blocks on a full pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::check::{Outcome, contains, fail, same};
use crate::report::Report;
use crate::sys;

/// Far more than any command here takes, even on an emulated machine: only a command that hangs exceeds it.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit code as a shell reports it: 128 + N for signal N.
    pub fn code(&self) -> i32 {
        let signal = self.status.signal().map_or(-1, |signal| 128 + signal);
        self.status.code().unwrap_or(signal)
    }

    pub fn report(&self) -> Report {
        Report::parse(&self.stdout)
    }

    /// Checks exit code 0 and an empty standard error.
    pub fn success(self) -> Outcome<Output> {
        if self.code() == 0 && self.stderr.is_empty() {
            return Ok(self);
        }
        fail(format_args!("exit code {}: {}", self.code(), self.stderr))
    }

    /// Checks exit code 1 and exactly one line on the standard error, which contains these words.
    pub fn failure(&self, words: &[&str]) -> Outcome {
        same("exit code", self.code(), 1)?;
        let lines = self.stderr.lines().count();
        if lines != 1 {
            return fail(format_args!("{lines} lines on the standard error: {:?}", self.stderr));
        }
        words.iter().try_for_each(|word| contains("the error", &self.stderr, word))
    }
}

/// A command that was started.
pub struct Running {
    child: Child,
    done: OwnedFd,
    pub lines: Lines,
    errors: File,
    input: Option<File>,
}

/// The output of a command through a pipe, line by line.
pub struct Lines(BufReader<PipeReader>);

impl Lines {
    pub fn new(pipe: PipeReader) -> Lines {
        Lines(BufReader::new(pipe))
    }

    /// The next line; empty at the end of the output.
    pub fn next(&mut self) -> Outcome<String> {
        let mut line = Vec::new();
        loop {
            if self.0.buffer().is_empty() && !sys::readable(self.0.get_ref(), LIMIT)? {
                return fail(format_args!("no line in time after {line:?}"));
            }
            let available = self.0.fill_buf()?;
            let piece = available.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.extend(piece);
            let (ends, over) = (piece.len() < available.len(), available.is_empty());
            let used = piece.len() + usize::from(ends);
            self.0.consume(used);
            if ends || over {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    /// Reads up to this line and parses the lines before it.
    pub fn until(&mut self, wanted: &str) -> Outcome<Report> {
        let mut before = String::new();
        loop {
            let line = self.next()?;
            if line == wanted {
                return Ok(Report::parse(&before));
            }
            if line.is_empty() {
                return fail(format_args!("no {wanted:?} but {before:?}"));
            }
            before.push_str(&line);
            before.push('\n');
        }
    }

    /// All lines until every process that has the pipe open has exited.
    pub fn all(&mut self) -> Outcome<String> {
        let mut text = String::new();
        loop {
            let line = self.next()?;
            if line.is_empty() {
                return Ok(text);
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// Starts a command. Its standard input is /dev/null, or a pipe if `input` is true.
pub fn start(command: &mut Command, input: bool) -> Outcome<Running> {
    let (pipe, out) = std::io::pipe()?;
    let errors = sys::memory_file()?;
    let mut writer = None;
    if input {
        let (reader, end) = std::io::pipe()?;
        command.stdin(reader);
        writer = Some(File::from(OwnedFd::from(end)));
    } else {
        command.stdin(Stdio::null());
    }
    command.stdout(out).stderr(errors.try_clone()?);
    let child = command.spawn();
    // Command keeps copies of the write ends; unless they are closed, readers get no end of file.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = child?;
    Ok(Running {
        done: sys::pidfd(child.id().cast_signed())?,
        child,
        lines: Lines::new(pipe),
        errors,
        input: writer,
    })
}

/// Runs a command until it exits. Its output goes to memfds, so that a container that is left running does not keep
/// a pipe open.
pub fn run(command: &mut Command, input: &str) -> Outcome<Output> {
    let (mut out, mut errors) = (sys::memory_file()?, sys::memory_file()?);
    let mut given = sys::memory_file()?;
    given.write_all(input.as_bytes())?;
    given.rewind()?;
    command.stdin(given).stdout(out.try_clone()?).stderr(errors.try_clone()?);
    let mut child = command.spawn()?;
    let status = wait_for(&mut child)?;
    Ok(Output { status, stdout: content(&mut out)?, stderr: content(&mut errors)? })
}

fn wait_for(child: &mut Child) -> Outcome<ExitStatus> {
    let pidfd = sys::pidfd(child.id().cast_signed())?;
    if sys::readable(&pidfd, LIMIT)? {
        return Ok(child.wait()?);
    }
    child.kill()?;
    child.wait()?;
    fail("the command hangs")
}

fn content(file: &mut File) -> Outcome<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn signal(&self, signal: i32) -> Outcome {
        Ok(sys::kill(self.pid(), signal)?)
    }

    /// Closes the standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Writes to the standard input.
    pub fn write(&mut self, text: &str) -> Outcome {
        match &mut self.input {
            Some(input) => Ok(input.write_all(text.as_bytes())?),
            None => fail("no input"),
        }
    }

    pub fn has_ended(&self) -> Outcome<bool> {
        Ok(sys::readable(&self.done, Duration::ZERO)?)
    }

    /// Waits for the command itself, not for other processes that have its output open.
    pub fn status(&mut self) -> Outcome<(ExitStatus, String)> {
        self.input = None;
        let status = wait_for(&mut self.child)?;
        Ok((status, content(&mut self.errors)?))
    }

    /// Waits for the command and for the end of its output.
    pub fn finish(mut self) -> Outcome<Output> {
        let (status, stderr) = self.status()?;
        Ok(Output { status, stdout: self.lines.all()?, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the command has exited and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AsRawFd for Running {
    fn as_raw_fd(&self) -> i32 {
        self.done.as_raw_fd()
    }
}
