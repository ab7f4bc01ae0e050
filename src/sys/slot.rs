//! A container for one boxed value, which can be replaced and taken atomically.

use alloc::boxed::Box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The container: empty, or with one value.
pub struct Slot<T>(AtomicPtr<T>);

impl<T> Slot<T> {
    /// An empty slot.
    pub const fn empty() -> Self {
        Slot(AtomicPtr::new(null_mut()))
    }

    /// Stores a value; the previous one is dropped.
    pub fn put(&self, value: Box<T>) {
        let before = self.0.swap(Box::into_raw(value), Ordering::AcqRel);
        drop(Self::own(before));
    }

    /// Removes the value and returns it; `None` if the slot is empty.
    pub fn take(&self) -> Option<Box<T>> {
        Self::own(self.0.swap(null_mut(), Ordering::AcqRel))
    }

    fn own(pointer: *mut T) -> Option<Box<T>> {
        // SAFETY: a pointer in the slot came from Box::into_raw, and after the swap that removed it there is no other
        // copy.
        (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
    }
}
