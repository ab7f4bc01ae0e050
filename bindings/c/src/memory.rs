//! The allocator: that of the C library, which the program uses too.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::ptr::{copy_nonoverlapping, null_mut};

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int;
}

struct C;

#[global_allocator]
static ALLOCATOR: C = C;

/// The alignment that malloc(3) guarantees.
const ALIGN: usize = 2 * size_of::<usize>();

// SAFETY: memory of malloc and posix_memalign is disjoint and aligned, and free and realloc accept both.
unsafe impl GlobalAlloc for C {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGN {
            // SAFETY: takes no pointer.
            return unsafe { malloc(layout.size()) }.cast();
        }
        let mut place = null_mut();
        // SAFETY: the alignment is a power of two, and larger than a pointer.
        match unsafe { posix_memalign(&raw mut place, layout.align(), layout.size()) } {
            0 => place.cast(),
            _ => null_mut(),
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it was allocated above.
        unsafe { free(memory.cast()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGN {
            // SAFETY: as in `dealloc`.
            return unsafe { realloc(memory.cast(), size) }.cast();
        }
        // SAFETY: the alignment is that of an existing layout.
        let layout_new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not zero, as the caller guarantees.
        let new = unsafe { self.alloc(layout_new) };
        if !new.is_null() {
            // SAFETY: both have at least the smaller size, and are disjoint.
            unsafe { copy_nonoverlapping(memory, new, layout.size().min(size)) };
            // SAFETY: as in `dealloc`.
            unsafe { self.dealloc(memory, layout) };
        }
        new
    }
}
