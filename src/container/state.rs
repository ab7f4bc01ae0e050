//! `state`: the state of a container (runtime.md, "State", "Query State").

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::store::directory::Store;
use super::store::snapshot::{self, Snapshot, not_created};
use crate::error::Result;

pub use super::store::status::State;

/// The content of the output of `state`: that of the specification, and what other runtimes add.
pub struct Report {
    /// `ociVersion` of the configuration.
    pub oci_version: String,
    /// The container ID.
    pub id: String,
    /// `status`.
    pub state: State,
    /// The PID of the container init; 0 if the container is stopped.
    pub pid: i32,
    /// The absolute path of the bundle.
    pub bundle: String,
    /// The absolute path of the root filesystem on the host.
    pub rootfs: String,
    /// The time of creation, in the format of RFC 3339.
    pub created: String,
    /// The UID of the user that created the container.
    pub owner: u32,
    /// (key, value)
    pub annotations: Vec<(String, String)>,
}

/// The state of one container.
///
/// Errors: [`Kind::NotFound`](crate::error::Kind::NotFound) also for a container that is being created, unless it has
/// hooks, which may query it: callers may poll until the container exists, as with other runtimes, to start it then.
pub fn report(store: &Store, id: &CStr) -> Result<Report> {
    let directory = store.open(id)?;
    let Snapshot { status, state } = snapshot::of(&directory)?;
    if state == State::Creating && !status.early_hooks && directory.is_busy() {
        return Err(not_created(&directory));
    }
    Ok(Report {
        oci_version: status.oci_version,
        id: directory.id().into(),
        state,
        pid: if state == State::Stopped { 0 } else { status.process.pid },
        bundle: status.bundle,
        rootfs: status.rootfs,
        created: status.created,
        owner: status.owner,
        annotations: status.annotations,
    })
}
