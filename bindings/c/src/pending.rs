//! `mote_pending`

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_int;

use mote::{Child, Container, Error, Pending, Result};
use rustix::fd::{AsFd, AsRawFd};

use crate::container::MoteContainer;
use crate::error::{MoteError, result, status};
use crate::process::MoteProcess;
use crate::text::{free, invalid};

/// `mote_pending`
pub enum MotePending {
    Container(Pending<Container>),
    Process(Pending<Child>),
    Done(Pending<Vec<Error>>),
}

impl From<Pending<Container>> for MotePending {
    fn from(pending: Pending<Container>) -> Self {
        MotePending::Container(pending)
    }
}

impl From<Pending<Child>> for MotePending {
    fn from(pending: Pending<Child>) -> Self {
        MotePending::Process(pending)
    }
}

impl From<Pending<Vec<Error>>> for MotePending {
    fn from(pending: Pending<Vec<Error>>) -> Self {
        MotePending::Done(pending)
    }
}

/// Takes a pending operation, which is freed.
///
/// # Safety
/// The pointer is null, or that of one that was not freed.
unsafe fn take(pending: *mut MotePending) -> Result<MotePending> {
    match pending.is_null() {
        true => Err(invalid(format_args!("pending is NULL"))),
        // SAFETY: it is of `Box::into_raw`, and not used any more.
        false => Ok(*unsafe { Box::from_raw(pending) }),
    }
}

#[cold]
fn other() -> Error {
    invalid(format_args!("pending: the operation has another result"))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pending_fd(pending: *const MotePending) -> c_int {
    // SAFETY: mote.h: null, or a pending operation.
    match unsafe { pending.as_ref() } {
        None => -1,
        Some(MotePending::Container(pending)) => pending.as_fd().as_raw_fd(),
        Some(MotePending::Process(pending)) => pending.as_fd().as_raw_fd(),
        Some(MotePending::Done(pending)) => pending.as_fd().as_raw_fd(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pending_finish_container(
    pending: *mut MotePending,
    container: *mut *mut MoteContainer,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a pending operation.
    let done = unsafe { take(pending) }.and_then(|pending| match pending {
        MotePending::Container(pending) => pending.finish().map(MoteContainer::from),
        _ => Err(other()),
    });
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(done, container, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pending_finish_process(
    pending: *mut MotePending,
    process: *mut *mut MoteProcess,
    error: *mut *mut MoteError,
) -> c_int {
    // SAFETY: mote.h: null, or a pending operation.
    let done = unsafe { take(pending) }.and_then(|pending| match pending {
        MotePending::Process(pending) => pending.finish().map(MoteProcess),
        _ => Err(other()),
    });
    // SAFETY: mote.h: null, or places for results.
    unsafe { result(done, process, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pending_finish(pending: *mut MotePending, error: *mut *mut MoteError) -> c_int {
    // SAFETY: mote.h: null, or a pending operation.
    let done = unsafe { take(pending) }.and_then(|pending| match pending {
        MotePending::Container(pending) => pending.finish().map(drop),
        MotePending::Process(pending) => pending.finish().map(drop),
        MotePending::Done(pending) => pending.finish().map(drop),
    });
    // SAFETY: mote.h: null, or a place for an error.
    unsafe { status(done, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pending_free(pending: *mut MotePending) {
    // SAFETY: mote.h: null, or a pending operation that was not freed.
    unsafe { free(pending) };
}
