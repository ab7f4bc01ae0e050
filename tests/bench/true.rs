//! The payload of the bench container: exits with 0 at once; with any argument it waits to be killed.
//!
//! All of it is one page, so that what is measured around it is the runtime.

#![no_std]
#![no_main]

mod kernel;

extern "C" fn program(stack: *const usize) -> ! {
    // SAFETY: `_start` passes its stack pointer, and argc lies there.
    if unsafe { *stack } > 1 {
        loop {
            sys!(PPOLL, 0, 0, 0, 0, 0);
        }
    }
    kernel::exit(0)
}
