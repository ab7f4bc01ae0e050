//! An allocator as of a program that is harder than most: it aborts in every process but the program's own, and it has a lock, which
//! a thread of the program can hold for long.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The allocator.
struct Watched;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

static OWNER: AtomicI32 = AtomicI32::new(0);
static LOCKED: AtomicBool = AtomicBool::new(false);

/// Takes the lock. Aborts in another process that shares or has a copy of the memory.
fn lock() {
    // By the system call: a C library may cache the PID.
    // SAFETY: takes no pointer.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) } as i32;
    if OWNER.load(Ordering::Relaxed) == 0 {
        OWNER.store(pid, Ordering::Relaxed);
    }
    if OWNER.load(Ordering::Relaxed) != pid {
        std::process::abort();
    }
    while LOCKED.swap(true, Ordering::Acquire) {
        // SAFETY: takes no pointer.
        unsafe { libc::sched_yield() };
    }
}

fn unlock() {
    LOCKED.store(false, Ordering::Release);
}

/// Holds the lock while it calls a function, which does not allocate.
pub fn hold(function: impl FnOnce()) {
    lock();
    function();
    unlock();
}

// SAFETY: it calls the allocator of the system.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        lock();
        // SAFETY: the same arguments.
        let memory = unsafe { System.alloc(layout) };
        unlock();
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        lock();
        // SAFETY: the same arguments.
        unsafe { System.dealloc(memory, layout) };
        unlock();
    }
}
