//! The program's own code, as memory (madvise(2)).

use core::ffi::c_void;
use core::ptr::with_exposed_provenance_mut;

use rustix::mm::{Advice, madvise};

use super::program::{LoadedProgram, PF_W, PF_X};

/// Gives back the pages of code that were needed until now; those that are needed again come back from the
/// page cache. So the peak of resident memory is that of the largest part of the work, not of their sum.
///
/// Only those of a static program, as it is installed: an interpreter may have relocated code, and who embeds this
/// library may have patched it.
pub fn drop_text_pages() {
    let Ok(program) = LoadedProgram::current() else { return };
    let read_only = program.mapped().iter().take_while(|pages| pages.flags & PF_W == 0);
    let mut code = read_only.filter(|pages| pages.flags & PF_X != 0);
    let Some(first) = code.next().filter(|_| program.is_static) else { return };
    let last = code.last().unwrap_or(first);
    let start = with_exposed_provenance_mut::<c_void>(first.start);
    // SAFETY: the pages are the program's file, privately mapped and never written to: the kernel drops them and, at
    // the next use, maps the same bytes again.
    // It goes on over a gap between segments, and says ENOMEM when it is through.
    let _ = unsafe { madvise(start, last.start + last.length - first.start, Advice::LinuxDontNeed) };
}
