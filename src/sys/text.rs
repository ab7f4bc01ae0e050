//! The program's own code, as memory (madvise(2)).

use core::ffi::c_void;

use rustix::mm::{Advice, madvise};

unsafe extern "C" {
    /// Where the program begins, and where its code ends: every linker for ELF provides them (end(3)).
    static __ehdr_start: u8;
    static etext: u8;
}

/// Gives back the pages of code that were needed until now; those that are needed again come back from the
/// page cache. So the peak of resident memory is that of the largest part of the work, not of their sum.
pub fn forget() {
    let start = (&raw const __ehdr_start).addr();
    let length = (&raw const etext).addr() - start;
    let start = (&raw const __ehdr_start).cast::<c_void>().cast_mut();
    // SAFETY: the pages from the first on are the program's file, privately mapped and never written to:
    // the kernel drops them and, at the next use, maps the same bytes again.
    // It goes on over a gap between segments, and says ENOMEM when it is through.
    let _ = unsafe { madvise(start, length, Advice::LinuxDontNeed) };
}
