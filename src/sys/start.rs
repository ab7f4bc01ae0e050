//! The arguments that the C runtime passes to `main`.

use core::ffi::{CStr, c_char};

/// The arguments of `main(argc, argv)` as strings.
///
/// # Safety
/// `argv` must point to at least `argc` pointers to strings that end with a NUL and live as long as the process. The
/// kernel guarantees this for those that it passes to a new program (execve(2)).
pub unsafe fn arguments(argc: i32, argv: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    (0..usize::try_from(argc).unwrap_or(0)).map(move |index| {
        // SAFETY: index is below argc.
        let place = unsafe { argv.add(index) };
        // SAFETY: as above: the array contains this pointer.
        let string = unsafe { *place };
        // SAFETY: it points to a string that lives as long as the process.
        unsafe { CStr::from_ptr(string) }
    })
}
