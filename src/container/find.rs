//! The init process of a container.

use core::ffi::CStr;

use super::store::directory::Store;
use super::store::snapshot::{self, Snapshot};
use crate::error::Result;
use crate::os::descriptor::Descriptor;

/// The PID and a pidfd of a container's init process; `None` if it has ended, or does not exist yet.
pub fn init(store: &Store, id: &CStr) -> Result<Option<(i32, Descriptor)>> {
    let Snapshot { status, .. } = snapshot::of(&store.open(id)?)?;
    Ok(status.process.open()?.map(|pidfd| (status.process.pid, pidfd.into())))
}
