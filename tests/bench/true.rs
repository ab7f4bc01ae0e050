//! The payload of the bench container: exits with 0 immediately; with any argument it waits until it is killed.
//!
//! It is a single page, so that the measured costs are those of the runtime.

#![no_std]
#![no_main]

mod kernel;

extern "C" fn program(stack: *const usize) -> ! {
    // SAFETY: `_start` passes its stack pointer, at which argc is.
    if unsafe { *stack } > 1 {
        loop {
            sys!(PPOLL, 0, 0, 0, 0, 0);
        }
    }
    kernel::exit(0)
}
