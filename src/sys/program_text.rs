//! The resident pages of the program's own code (madvise(2)).

use core::ffi::c_void;
use core::ptr::with_exposed_provenance_mut;

use rustix::mm::{Advice, madvise};

use super::program::{LoadedProgram, PF_W, PF_X};

/// Drops the pages of code that are resident; those that are needed again are mapped again from the page cache. So the
/// peak RSS is that of the largest phase, not the sum of all.
///
/// Only for a static program, as it is installed: an interpreter may have relocated code, and a program that embeds
/// this library may have patched it.
pub fn drop_text_pages() {
    let Ok(program) = LoadedProgram::current() else { return };
    let read_only = program.mapped().iter().take_while(|pages| pages.flags & PF_W == 0);
    let mut code = read_only.filter(|pages| pages.flags & PF_X != 0);
    let Some(first) = code.next().filter(|_| program.is_static) else { return };
    let last = code.last().unwrap_or(first);
    let start = with_exposed_provenance_mut::<c_void>(first.start);
    // SAFETY: the pages are private mappings of the program's file, and never written to: the kernel drops them and
    // maps the same bytes again at the next access. It continues after a gap between segments, and returns ENOMEM at
    // the end.
    let _ = unsafe { madvise(start, last.start + last.length - first.start, Advice::LinuxDontNeed) };
}
