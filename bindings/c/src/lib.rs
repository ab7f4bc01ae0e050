//! The C interface: the functions of mote.h, which has their documentation, over the library for Rust.
//!
//! Handles are boxes that C holds by a pointer. A null pointer for a handle or for a text that is required is an error of the kind
//! `INVALID`, and functions that free accept it. Nothing panics: the library has no code that unwinds.
#![no_std]

extern crate alloc;

mod container;
mod error;
mod events;
mod memory;
mod options;
mod pending;
mod process;
mod runtime;
mod state;
mod text;

use core::panic::PanicInfo;

unsafe extern "C" {
    /// abort(3)
    safe fn abort() -> !;
}

/// A panic is a bug.
#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    abort()
}
