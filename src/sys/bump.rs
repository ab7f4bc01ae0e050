//! A bump allocator, for a short-lived process: memory is taken from the front of an area, and only the last allocation
//! can be freed or resized. A mote process ends soon, so this needs less code, fewer page faults and fewer system calls
//! than a general heap.
//!
//! Only for a process with a single thread: the `mote` binary. Programs that link the library have their own allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, null_mut};

use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE};

use super::raw::mmap;

/// Size of the first area in bytes. It is in .bss, is enough for most commands, and only its used pages are resident.
const FIRST: usize = 128 << 10;

/// The minimum size of further areas in bytes.
const CHUNK: usize = 256 << 10;

/// The allocator. Its state shares a page with the first allocations.
#[repr(C)]
pub struct Bump {
    state: UnsafeCell<State>,
    first: UnsafeCell<[u8; FIRST]>,
}

struct State {
    next: usize,
    end: usize,
}

// SAFETY: the process has a single thread (see the module), so nothing is shared.
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator without allocations.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Bump { state: UnsafeCell::new(State { next: 0, end: 0 }), first: UnsafeCell::new([0; FIRST]) }
    }

    #[allow(clippy::mut_from_ref)]
    fn state(&self) -> &mut State {
        // SAFETY: there is a single thread, and no reference to the state outlives a method of this file.
        let state = unsafe { &mut *self.state.get() };
        if state.end == 0 {
            state.next = self.first.get() as usize;
            state.end = state.next + FIRST;
        }
        state
    }
}

/// Maps anonymous memory; returns its address, or 0 if mmap(2) fails.
fn map(size: usize) -> usize {
    // SAFETY: a new anonymous mapping at an address chosen by the kernel; it overlaps no other.
    let mapped = unsafe { mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, usize::MAX, 0) };
    super::check(mapped).unwrap_or(0)
}

// SAFETY: allocations are disjoint (`next` only moves past them, or back to the start of the last one when that is
// freed), aligned, and in memory that lives as long as the process.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let state = self.state();
        let start = state.next.next_multiple_of(layout.align());
        if let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= state.end) {
            state.next = end;
            return start as *mut u8;
        }
        let Some(size) = layout.size().checked_add(layout.align() + CHUNK) else { return null_mut() };
        let mapped = map(size.next_multiple_of(CHUNK));
        if mapped == 0 {
            return null_mut();
        }
        (state.next, state.end) = (mapped, mapped + size.next_multiple_of(CHUNK));
        let start = mapped.next_multiple_of(layout.align());
        state.next = start + layout.size();
        start as *mut u8
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let state = self.state();
        if piece as usize + layout.size() == state.next {
            state.next = piece as usize;
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let state = self.state();
        let last = piece as usize + layout.size() == state.next;
        if last && let Some(end) = (piece as usize).checked_add(size).filter(|end| *end <= state.end) {
            state.next = end;
            return piece;
        }
        // SAFETY: the alignment is that of an existing layout, so it is a power of two; alloc fails for a size that
        // overflows.
        let layout_new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: size is not zero, as the caller of realloc guarantees.
        let new = unsafe { self.alloc(layout_new) };
        if !new.is_null() {
            // SAFETY: both allocations have at least the smaller size, and are disjoint.
            unsafe { ptr::copy_nonoverlapping(piece, new, layout.size().min(size)) };
        }
        new
    }
}
