//! The `mote` command: arguments in, exit code out, and the one line that says what went wrong.
//!
//! There is no Rust start-up: it ignores SIGPIPE, opens closed standard descriptors and sets up an
//! alternate signal stack, and all that would be inherited by the container. `main` is what the C
//! start-up calls.
#![no_main]

extern crate alloc;

mod cli;

use std::ffi::{OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;

use mote::sys::bump::Bump;
use mote::sys::clone::exit;
use mote::sys::start::arguments;

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

/// # Safety
/// Called once, by the C start-up, with what the kernel gave to the program.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // The symbol's name, and the pointers that C has for arguments.
unsafe extern "C" fn main(argc: i32, argv: *const *const c_char) -> i32 {
    // SAFETY: these are main's own arguments.
    let arguments = unsafe { arguments(argc, argv) };
    let words: Vec<OsString> =
        arguments.map(|word| OsStr::from_bytes(word.to_bytes()).to_os_string()).collect();
    // Not by returning: nothing waits for the C library's own end.
    exit(cli::main(words))
}
