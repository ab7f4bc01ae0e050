//! A file descriptor with several owners.

use alloc::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

/// An open file descriptor, which stays open as long as this or a clone of it exists. It is made by `into()` of what owns a
/// file descriptor.
#[derive(Clone, Debug)]
pub struct Descriptor(Arc<OwnedFd>);

impl<F: Into<OwnedFd>> From<F> for Descriptor {
    fn from(fd: F) -> Self {
        Descriptor(Arc::new(fd.into()))
    }
}

impl Descriptor {
    /// The file descriptor.
    pub(crate) fn get(&self) -> &OwnedFd {
        &self.0
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
