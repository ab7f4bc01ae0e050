//! Errors for C, and the conversion of results.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::ToString;
use core::ffi::{c_char, c_int};
use core::ptr::{null, null_mut};

use mote::{Error, Kind, Result};

use crate::text::{c_string, free, give, store};

/// `mote_error`
pub struct MoteError {
    kind: c_int,
    errno: c_int,
    field: Option<CString>,
    message: CString,
}

impl From<&Error> for MoteError {
    fn from(error: &Error) -> Self {
        MoteError {
            kind: number(error.kind()),
            errno: error.errno().into(),
            field: error.field().map(|field| c_string(field.into())),
            message: c_string(error.to_string()),
        }
    }
}

/// The number of a kind in mote.h.
fn number(kind: Kind) -> c_int {
    match kind {
        Kind::Invalid | Kind::Usage => 1,
        Kind::Unsupported => 2,
        Kind::NotFound => 3,
        Kind::Exists => 4,
        Kind::State => 5,
        Kind::System => 6,
        Kind::NoProgram => 7,
        Kind::Program => 8,
        Kind::Hook => 9,
        Kind::Remark => 10,
    }
}

/// Returns 0, or -1 after the error was stored, if C wants it.
///
/// # Safety
/// The pointer is null, or valid for writing.
pub unsafe fn status(done: Result<()>, place: *mut *mut MoteError) -> c_int {
    let (code, error) = match &done {
        Ok(()) => (0, null_mut()),
        Err(_) if place.is_null() => (-1, null_mut()),
        Err(error) => (-1, give(MoteError::from(error))),
    };
    // SAFETY: as the caller guarantees.
    unsafe { store(place, error) };
    code
}

/// Stores the result as a handle, null for an error; returns as [`status`].
///
/// # Safety
/// The pointers are null, or valid for writing.
pub unsafe fn result<T>(done: Result<T>, place: *mut *mut T, error: *mut *mut MoteError) -> c_int {
    let (handle, done) = match done {
        Ok(value) if place.is_null() => {
            drop(value);
            (null_mut(), Ok(()))
        }
        Ok(value) => (Box::into_raw(Box::new(value)), Ok(())),
        Err(error) => (null_mut(), Err(error)),
    };
    // SAFETY: as the caller guarantees.
    unsafe { store(place, handle) };
    // SAFETY: as above.
    unsafe { status(done, error) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_error_kind(error: *const MoteError) -> c_int {
    // SAFETY: mote.h: null, or an error.
    unsafe { error.as_ref() }.map_or(0, |error| error.kind)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_error_errno(error: *const MoteError) -> c_int {
    // SAFETY: as above.
    unsafe { error.as_ref() }.map_or(0, |error| error.errno)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_error_field(error: *const MoteError) -> *const c_char {
    // SAFETY: as above.
    let field = unsafe { error.as_ref() }.and_then(|error| error.field.as_ref());
    field.map_or(null(), |field| field.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_error_message(error: *const MoteError) -> *const c_char {
    // SAFETY: as above.
    unsafe { error.as_ref() }.map_or(c"no error".as_ptr(), |error| error.message.as_ptr())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_error_free(error: *mut MoteError) {
    // SAFETY: mote.h: null, or an error that was not freed.
    unsafe { free(error) };
}
