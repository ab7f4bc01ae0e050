//! `state`: what a container is and does (runtime.md, "State", "Query State").

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::store::directory::Store;
use super::store::snapshot::{self, Snapshot, not_created};
use super::store::status::State;
use crate::error::Result;

/// Everything that `state` says.
pub struct Report {
    pub oci_version: String,
    pub id: String,
    pub state: State,
    /// 0 when it has stopped.
    pub pid: i32,
    pub bundle: String,
    pub rootfs: String,
    pub created: String,
    pub owner: u32,
    pub annotations: Vec<(String, String)>,
}

/// The state of one container. One that is being created is there for its hooks; for others it is not yet: they may
/// be asking until it is, to start it then, as they do with other runtimes.
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
