//! `mote_process`

use core::ffi::c_int;

use mote::{Child, ExitStatus, Result};
use rustix::fd::{AsFd, AsRawFd};

use crate::error::{MoteError, status};
use crate::text::{free, handle, store};

/// `mote_process`
pub struct MoteProcess(pub Child);

/// `mote_exit_status`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MoteExitStatus {
    code: c_int,
    signal: c_int,
}

impl From<ExitStatus> for MoteExitStatus {
    fn from(status: ExitStatus) -> Self {
        MoteExitStatus { code: status.code().unwrap_or(-1), signal: status.signal().unwrap_or(0) }
    }
}

/// Waits for a process, and stores its status; returns as `status`.
///
/// # Safety
/// The pointers are null, or places for results.
pub unsafe fn wait(
    done: Result<ExitStatus>,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    let done = done.map(|status| {
        // SAFETY: as the caller guarantees.
        unsafe { store(place, status.into()) };
    });
    // SAFETY: as above.
    unsafe { status(done, error) }
}

/// As [`wait`], but returns 1 if the process has not ended.
///
/// # Safety
/// As [`wait`].
pub unsafe fn try_wait(
    done: Result<Option<ExitStatus>>,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    match done.transpose() {
        // SAFETY: as the caller guarantees.
        Some(done) => unsafe { wait(done, place, error) },
        None => {
            // SAFETY: as above.
            unsafe { status(Ok(()), error) };
            1
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_pid(process: *const MoteProcess) -> c_int {
    // SAFETY: mote.h: null, or a process.
    unsafe { process.as_ref() }.map_or(0, |process| process.0.pid())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_pidfd(process: *const MoteProcess) -> c_int {
    // SAFETY: mote.h: null, or a process.
    unsafe { process.as_ref() }.map_or(-1, |process| process.0.pidfd().as_raw_fd())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_fd(process: *const MoteProcess) -> c_int {
    // SAFETY: mote.h: null, or a process.
    unsafe { process.as_ref() }.map_or(-1, |process| process.0.as_fd().as_raw_fd())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_wait(
    process: *const MoteProcess,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a process.
    let done = unsafe { handle(process, "process") }.and_then(|process| process.0.wait());
    // SAFETY: mote.h: null, or places for results.
    unsafe { wait(done, place, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_try_wait(
    process: *const MoteProcess,
    place: *mut MoteExitStatus,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a process.
    let done = unsafe { handle(process, "process") }.and_then(|process| process.0.try_wait());
    // SAFETY: mote.h: null, or places for results.
    unsafe { try_wait(done, place, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_process_free(process: *mut MoteProcess) {
    // SAFETY: mote.h: null, or a process that was not freed.
    unsafe { free(process) };
}
