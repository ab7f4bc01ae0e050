//! Texts, arrays and handles that C passes, and those that it gets.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};

use mote::{Error, Kind, Result};

/// The error for an argument.
#[cold]
pub fn invalid(why: core::fmt::Arguments<'_>) -> Error {
    Error::new(Kind::Invalid, why)
}

/// A text, or `None` for a null pointer.
///
/// # Safety
/// The pointer is null or that of a C string, which stays as long as the result is used.
pub unsafe fn optional<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: it is not null, hence a C string.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// A text that is required; `name` is that of the argument.
///
/// # Safety
/// As [`optional`].
pub unsafe fn required<'a>(text: *const c_char, name: &str) -> Result<&'a CStr> {
    // SAFETY: as the caller guarantees.
    unsafe { optional(text) }.ok_or_else(|| invalid(format_args!("{name} is NULL")))
}

/// A text that is required, in UTF-8.
///
/// # Safety
/// As [`optional`].
pub unsafe fn utf8<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: as the caller guarantees.
    let text = unsafe { required(text, name) }?;
    text.to_str().map_err(|_| invalid(format_args!("{name} is not UTF-8")))
}

/// The elements of an array that ends with a null pointer; none for a null pointer.
///
/// # Safety
/// The pointer is null or that of such an array of C strings, which stay as long as the result is used.
pub unsafe fn list<'a>(array: *const *const c_char) -> Vec<&'a CStr> {
    let mut texts = Vec::new();
    if array.is_null() {
        return texts;
    }
    for index in 0.. {
        // SAFETY: the array has not ended.
        let place = unsafe { array.add(index) };
        // SAFETY: as above.
        let text = unsafe { *place };
        // SAFETY: null, or a C string.
        match unsafe { optional(text) } {
            Some(text) => texts.push(text),
            None => break,
        }
    }
    texts
}

/// A handle.
///
/// # Safety
/// The pointer is null or that of a handle of this type that was not freed, which stays as long as the result is used.
pub unsafe fn handle<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as the caller guarantees.
    unsafe { handle.as_ref() }.ok_or_else(|| invalid(format_args!("{name} is NULL")))
}

/// Passes a value to C as a handle.
pub fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Frees a handle.
///
/// # Safety
/// The pointer is null or that of a handle of [`give`] that was not freed.
pub unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it is of `Box::into_raw`, and not used any more.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// Stores a result for C, if it wants it.
///
/// # Safety
/// The pointer is null, or valid for writing.
pub unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: it is not null, hence valid.
        unsafe { place.write(value) };
    }
}

/// A text for C. One with a NUL byte, which none of mote's has, would become empty.
pub fn c_string(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}
