//! The `mote` program: calls the command line and exits with its code.
//!
//! `main` is called by the C start-up code. The start-up code of Rust is left out: it ignores SIGPIPE, opens closed
//! standard fds and sets up an alternate signal stack, and the container would inherit these.
#![no_main]

extern crate alloc;

mod cli;

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;

use mote::internal::serve;
use mote::internal::sys::bump::Bump;
use mote::internal::sys::clone::exit;
use mote::internal::sys::start::arguments;

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

/// # Safety
/// Called once, by the C start-up code, with the program's arguments.
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // The symbol's name, and the pointers that C has for arguments.
unsafe extern "C" fn main(argc: i32, argv: *const *const c_char) -> i32 {
    // SAFETY: these are main's own arguments.
    let arguments = unsafe { arguments(argc, argv) };
    let arguments: Vec<&CStr> = arguments.collect();
    if serve::is_requested(&arguments) {
        exit(serve::serve());
    }
    let arguments: Vec<OsString> =
        arguments.into_iter().map(|argument| OsStr::from_bytes(argument.to_bytes()).to_os_string()).collect();
    // Without returning, which would run the exit handlers of the C library.
    exit(cli::main(arguments))
}
