//! A place for one boxed value that any code may put there or take.

use alloc::boxed::Box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The place, empty or full.
pub struct Slot<T>(AtomicPtr<T>);

impl<T> Slot<T> {
    /// An empty one.
    pub const fn empty() -> Self {
        Slot(AtomicPtr::new(null_mut()))
    }

    /// Puts a value there; one that was there is dropped.
    pub fn put(&self, value: Box<T>) {
        let before = self.0.swap(Box::into_raw(value), Ordering::AcqRel);
        drop(Self::own(before));
    }

    /// Takes what is there.
    pub fn take(&self) -> Option<Box<T>> {
        Self::own(self.0.swap(null_mut(), Ordering::AcqRel))
    }

    fn own(pointer: *mut T) -> Option<Box<T>> {
        // SAFETY: a pointer in the slot came from Box::into_raw, and the swap that took it out left nobody
        // else who has it.
        (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
    }
}
