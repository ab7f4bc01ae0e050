//! The `mote` program: calls the command line and exits with its code.
#![no_std]
#![no_main]

extern crate alloc;

mod cli;
mod start;

use alloc::vec::Vec;
use core::ffi::CStr;

use mote::internal::serve;
use mote::internal::sys::bump::Bump;
use mote::internal::sys::clone::exit;

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

/// Called once, at the start of the program.
fn main(arguments: impl Iterator<Item = &'static CStr>) -> ! {
    let arguments: Vec<&'static CStr> = arguments.collect();
    match serve::is_requested(&arguments) {
        true => exit(serve::serve()),
        false => exit(cli::main(&arguments)),
    }
}
