//! The resident pages of the program's own code (madvise(2)).

use core::ffi::{c_ulong, c_void};
use core::ptr::with_exposed_provenance_mut;

use linux_raw_sys::general::{__NR_madvise, __NR_rt_sigtimedwait, MADV_DONTNEED};
use rustix::io::Result;
use rustix::mm::{Advice, madvise};

use super::program::{LoadedProgram, PF_W, PF_X, Pages};
use super::signal::Set;
use super::{getauxval, page_size};

/// Drops the pages of code that are resident; those that are needed again are mapped again from the page cache. So the
/// peak RSS is that of the largest phase, not the sum of all.
///
/// Only for a static program, as it is installed: an interpreter may have relocated code, and a program that embeds
/// this library may have patched it.
pub fn drop_text_pages() {
    let (start, length) = read_only(|pages| pages.flags & PF_X != 0);
    let start = with_exposed_provenance_mut::<c_void>(start);
    // SAFETY: the pages are private mappings of the program's file, and never written to: the kernel drops them and
    // maps the same bytes again at the next access. It continues after a gap between segments, and returns ENOMEM at
    // the end.
    let _ = unsafe { madvise(start, length, Advice::LinuxDontNeed) };
}

/// Address and length of the segments of a static program, from the first to the last for which `is_meant` holds, that are
/// mapped from its file and not writable; 0, 0 for another program.
fn read_only(is_meant: impl Fn(&Pages) -> bool) -> (usize, usize) {
    let Ok(program) = LoadedProgram::current() else { return (0, 0) };
    let segments = program.mapped().iter().take_while(|pages| pages.flags & PF_W == 0);
    let mut segments = segments.filter(|pages| is_meant(pages));
    let Some(first) = segments.next().filter(|_| program.is_static) else { return (0, 0) };
    let last = segments.last().unwrap_or(first);
    (first.start, last.start + last.length - first.start)
}

/// Waits for one of these signals, which must be blocked, receives it and returns its number (rt_sigtimedwait(2)). The
/// wait may be as long as a container runs: the resident pages of code and read-only data are dropped, and those of the
/// unused part of the stack.
pub fn wait_for_signal(signals: Set) -> Result<i32> {
    // Before and after the pages around the function that waits are mapped: they do not add to the peak.
    drop_text_pages();
    let signal = wait_with_few_pages(signals);
    drop_text_pages();
    signal
}

/// As [`wait_for_signal`]. Nothing is called between the drop and the wait, so only the pages around this function, which the
/// linker script places at the end of the code, are mapped again.
#[inline(never)]
fn wait_with_few_pages(signals: Set) -> Result<i32> {
    let ((stack, stack_length), (program, length)) = (unused_stack(), read_only(|_| true));
    let (set, advice) = (&raw const signals as usize, MADV_DONTNEED as usize);
    // No loop, which may call functions of an iterator.
    // SAFETY: nothing below this function's frame on the stack is used.
    unsafe { super::raw::syscall3(__NR_madvise as usize, stack, stack_length, advice) };
    // SAFETY: as in `drop_text_pages`.
    unsafe { super::raw::syscall3(__NR_madvise as usize, program, length, advice) };
    // SAFETY: the set has the size of the kernel's; the pointers for siginfo and timeout are null.
    let returned =
        unsafe { super::raw::syscall4(__NR_rt_sigtimedwait as usize, set, 0, 0, size_of::<u64>()) };
    super::check(returned).map(|signal| signal as i32)
}

/// Address and length of the part of the stack below the callers; 0, 0 if this is not the initial stack of a static program,
/// below which the kernel keeps 1 MiB free of other mappings (stack_guard_gap). One page is left out for the frames
/// of the functions in use.
fn unused_stack() -> (usize, usize) {
    const LENGTH: usize = 512 << 10;
    // Of include/uapi/linux/auxvec.h: sixteen random bytes at the beginning of the stack.
    const AT_RANDOM: c_ulong = 25;
    let local = 0u8;
    let here = &raw const local as usize;
    let used = (getauxval(AT_RANDOM) as usize).checked_sub(here);
    match LoadedProgram::current() {
        Ok(program) if program.is_static && used.is_some_and(|used| used < LENGTH) => {
            let end = (here & !(page_size() - 1)) - page_size();
            (end - LENGTH, LENGTH)
        }
        _ => (0, 0),
    }
}
