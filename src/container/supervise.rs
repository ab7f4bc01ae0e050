//! Supervising a process in the foreground (`run`, `exec`): mote forwards signals to it and reaps it.

use alloc::boxed::Box;
use linux_raw_sys::general as sys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::notify::Notify;
use super::relay::Relay;
use crate::error::{Error, On, Result};
use crate::sys::program_text::wait_for_signal;
use crate::sys::signal::{self, SIGCHLD, Set, block, block_also, send_to_child};

/// The window size of mote's own terminal has changed.
const SIGWINCH: i32 = sys::SIGWINCH as i32;

const SIGPIPE: i32 = sys::SIGPIPE as i32;

/// A message has arrived at the container's notification socket.
const SIGIO: i32 = sys::SIGIO as i32;

/// A child that mote waits for: its PID and pidfd.
type Process<'p> = (Pid, &'p OwnedFd);

/// Blocks all signals, so that they stay pending until the process exists.
#[inline(always)]
pub fn block_signals() -> Result<()> {
    block(Set::ALL).map(drop).on(format_args!("rt_sigprocmask"))
}

/// Blocks the signals that would kill mote for an error of write(2), after which everything is removed again.
#[inline(always)] // Runs in each start: see scripts/layout.ld.
pub fn block_signals_of_writes() -> Result<()> {
    block_also(Set::OF_WRITES).map(drop).on(format_args!("rt_sigprocmask"))
}

/// Forwards signals and terminal data, and reaps, until the process has exited. Returns its exit code.
pub fn supervise(process: Process<'_>, relay: Option<Box<Relay>>, mut notify: Option<Notify>) -> Result<i32> {
    if let Some(inside) = &notify {
        inside.signal()?;
        // Messages that arrived before caused no SIGIO.
        handle_signal(process, SIGIO, &mut notify)?;
    }
    match relay {
        Some(relay) => supervise_with_relay(process, relay, notify),
        None => loop {
            match wait_for_signal(Set::ALL) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                signal => {
                    let signal = signal.on(format_args!("rt_sigtimedwait"))?;
                    if let Some(code) = handle_signal(process, signal, &mut notify)? {
                        return Ok(code);
                    }
                }
            }
        },
    }
}

fn supervise_with_relay(
    process: Process<'_>,
    mut relay: Box<Relay>,
    mut notify: Option<Notify>,
) -> Result<i32> {
    let signals = signal::descriptor(Set::ALL).on(format_args!("signalfd4"))?;
    loop {
        if !relay.turn(signals.as_fd())? {
            continue;
        }
        match signal::take(&signals).on(format_args!("read signalfd"))? {
            SIGWINCH => relay.resize(),
            // Caused by a write of the relay itself.
            SIGPIPE => {}
            signal => {
                if let Some(code) = handle_signal(process, signal, &mut notify)? {
                    relay.finish();
                    return Ok(code);
                }
            }
        }
    }
}

/// Handles a signal: SIGCHLD and SIGIO are for mote, every other signal is forwarded. Returns the exit code if the
/// process has exited.
fn handle_signal((pid, pidfd): Process<'_>, signal: i32, notify: &mut Option<Notify>) -> Result<Option<i32>> {
    if signal == SIGCHLD {
        return reap(pid);
    }
    if signal == SIGIO
        && let Some(inside) = notify
    {
        // READY=1 is forwarded once. A failure to send it is ignored: supervision goes on.
        if inside.take(pid.as_raw_nonzero().get()).unwrap_or(true) {
            *notify = None;
            // Raised again before its socket was closed: it must not be forwarded.
            signal::discard(SIGIO);
        }
        return Ok(None);
    }
    match send_to_child(pid, pidfd, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(None),
        Err(errno) => Err(Error::system(errno, format_args!("pidfd_send_signal {signal}"))),
    }
}

/// Reaps all children that have exited. Returns the exit code if `init` is among them.
fn reap(init: Pid) -> Result<Option<i32>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == init => return Ok(Some(code(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(errno) => return Err(Error::system(errno, format_args!("wait4"))),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(255),
    }
}
