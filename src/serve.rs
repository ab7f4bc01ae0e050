//! The program that carries out the operations of a program that links the library: one operation, which it receives from a
//! socket, and whose reports it sends there.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::forget;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd, retry_on_intr};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Signal, chdir};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::caller;
use crate::engine::{Engine, Reports, Run};
use crate::error::{Error, On, Result};
use crate::operations::frame::{Content, Header, receive_content, receive_header, send_message};
use crate::operations::wire::{Decoder, Encoder, Wire};
use crate::operations::{self as operation, Operation, Settings, Streams, report};
use crate::sys::end::End;
use crate::sys::fd::take_inherited;
use crate::sys::pidfd::reap;
use crate::sys::reaper::{NAME, SOCKET};
use crate::sys::signal::send;

/// Whether this process is to carry out an operation of a program that links the library: by its name, and the socket.
pub fn is_requested(arguments: &[&CStr]) -> bool {
    matches!(arguments, [name] if *name == NAME)
}

/// Receives an operation and carries it out. Returns the exit code.
pub fn serve() -> i32 {
    let done = caller::settle()
        .and_then(|()| receive())
        .and_then(|(socket, header, content)| dispatch(&socket, &header, content));
    // Nobody is there to get the error.
    i32::from(done.is_err())
}

/// Receives the operation. The file descriptors that a container inherits get their numbers, from 3 on.
fn receive() -> Result<(OwnedFd, Header, Content)> {
    let lost = || Error::invalid(format_args!("file descriptor {SOCKET} is not a socket"));
    let first = take_inherited(SOCKET).ok_or_else(lost)?;
    let header = receive_header(first.as_fd())?.ok_or_else(lost)?;
    let above = SOCKET + i32::try_from(header.passed).map_err(|_| lost())?;
    let socket = fcntl_dupfd_cloexec(&first, above + 1).on(format_args!("fcntl F_DUPFD_CLOEXEC"))?;
    drop(first);
    // The kernel gives each the lowest free number.
    let mut content = receive_content(socket.as_fd(), &header)?;
    for fd in content.0.drain(..header.passed as usize).flatten() {
        fcntl_setfd(&fd, FdFlags::empty()).on(format_args!("fcntl F_SETFD"))?;
        forget(fd);
    }
    // Paths are absolute; the directory must not be kept from being unmounted.
    chdir(c"/").on(format_args!("chdir /"))?;
    Ok((socket, header, content))
}

/// Calls `carry_out` with the type of the operation of this number.
fn dispatch(socket: &OwnedFd, header: &Header, (fds, bytes): Content) -> Result<()> {
    let mut message = Decoder::new(&bytes, header.passed, fds);
    macro_rules! dispatch {
        ($($operation:ident)*) => {
            match header.kind {
                $(operation::$operation::NUMBER => {
                    carry_out::<operation::$operation>(socket.as_fd(), &mut message)
                })*
                number => Err(Error::invalid(format_args!("unknown operation {number}"))),
            }
        };
    }
    dispatch! {
        GetVersion GetFeatures GetTemplate Create Start Exec Kill Delete GetState List Processes Pause Update ChangeMounts
        Events Checkpoint Restore Find
    }
}

fn carry_out<O: Run>(socket: BorrowedFd<'_>, message: &mut Decoder<'_>) -> Result<()> {
    let mut send_event = |line: &str| {
        let mut event = Encoder::default();
        event.bytes(line.as_bytes());
        send_message(socket, report::EVENT, &event)
    };
    let mut reports = Reports { warnings: Vec::new(), events: &mut send_event, output: Some(socket) };
    let (engine, operation) = match take::<O>(message) {
        Ok(taken) => taken,
        Err(error) => return send_result(socket, &[], &Err::<(), _>(error)),
    };
    let done = engine.perform(&operation, &mut reports);
    let (is_awaited, reversal) = (operation.is_awaited(), operation.reversal());
    drop(operation);
    if done.as_ref().is_ok_and(|output| O::started(output).is_some()) {
        give_up_inherited(message.passed())?;
    }
    let sent = send_result(socket, &reports.warnings, &done);
    let Some(process) = done.as_ref().ok().and_then(O::started) else { return sent };
    if sent.is_ok() && is_acknowledged(socket) {
        return if is_awaited { report_end(socket, process.get()) } else { Ok(()) };
    }
    // The program has exited, or could not receive the file descriptors: it has no handle.
    match reversal {
        Some(delete) => engine.perform(&delete, &mut reports),
        None => send(process.get(), Signal::KILL.as_raw()).on(format_args!("pidfd_send_signal SIGKILL")),
    }
}

/// Decodes the settings and the operation, and sets the standard streams.
fn take<O: Run>(message: &mut Decoder<'_>) -> Result<(Engine, O)> {
    let settings = Settings::take(message)?;
    let mut operation = O::take(message)?;
    operation.streams().map_or(Ok(()), set_streams)?;
    Ok((Engine::new(settings), operation))
}

/// Sends the warnings, and the result or the error.
fn send_result<T: Wire>(socket: BorrowedFd<'_>, warnings: &[Error], done: &Result<T>) -> Result<()> {
    let mut encoder = Encoder::default();
    encoder.list(warnings);
    let kind = match done {
        Ok(output) => {
            output.put(&mut encoder);
            report::DONE
        }
        Err(error) => {
            error.put(&mut encoder);
            report::FAILED
        }
    };
    send_message(socket, kind, &encoder)
}

/// Whether the program has received the result of an operation that starts a process.
fn is_acknowledged(socket: BorrowedFd<'_>) -> bool {
    let mut byte = [0];
    retry_on_intr(|| recv(socket, &mut byte, RecvFlags::empty())).is_ok_and(|(length, _)| length == 1)
}

/// Makes the given file descriptors the standard ones.
fn set_streams(streams: &mut Streams) -> Result<()> {
    let Streams { stdin, stdout, stderr } = streams;
    stdin.take().map_or(Ok(()), |fd| dup2_stdin(&fd)).on(format_args!("dup3 0"))?;
    stdout.take().map_or(Ok(()), |fd| dup2_stdout(&fd)).on(format_args!("dup3 1"))?;
    stderr.take().map_or(Ok(()), |fd| dup2_stderr(&fd)).on(format_args!("dup3 2"))
}

/// Closes what the process that was started has inherited: others may wait for its end of file. The standard ones are
/// replaced by /dev/null.
fn give_up_inherited(passed: u32) -> Result<()> {
    let null = open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .on(format_args!("openat /dev/null"))?;
    let replaced = dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null));
    replaced.on(format_args!("dup3"))?;
    // Their owners were forgotten.
    (SOCKET..).zip(0..passed).for_each(|(number, _)| drop(take_inherited(number)));
    Ok(())
}

/// Waits until a child has ended, and reports its status; or until the program that would get the report has closed the
/// socket.
fn report_end(socket: BorrowedFd<'_>, process: &OwnedFd) -> Result<()> {
    let ended = {
        // A hangup is always reported (poll(2)).
        let mut fds =
            [PollFd::new(process, PollFlags::IN), PollFd::from_borrowed_fd(socket, PollFlags::empty())];
        retry_on_intr(|| poll(&mut fds, None)).on(format_args!("poll"))?;
        let [process, _] = &fds;
        !process.revents().is_empty()
    };
    let Some(end) = ended.then(|| reap(process)).flatten() else { return Ok(()) };
    let mut encoder = Encoder::default();
    let (code, signal) = match end {
        End::Exited(code) => (code, 0),
        End::Killed { signal, .. } => (0, signal),
    };
    (code, signal).put(&mut encoder);
    send_message(socket, report::ENDED, &encoder)
}
