//! `state`: what a container is and does (runtime.md, "State", "Query State").

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::store::directory::{Directory, Store};
use super::store::status::{State, Status};
use crate::error::{Error, Kind, Result};

/// A container as its directory and the kernel show it.
pub struct Snapshot {
    pub status: Status,
    pub state: State,
}

impl Snapshot {
    /// That nothing runs in it (any more).
    pub fn not_running(&self, directory: &Directory) -> Error {
        let (id, state) = (directory.id(), self.state.name());
        // The words that containerd looks for.
        Error::new(Kind::State, format_args!("container not running: \"{id}\" is {state}"))
    }
}

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

/// What is known of the container in a directory; an error when that is nothing yet.
pub fn of(directory: &Directory) -> Result<Snapshot> {
    let known = read(directory)?;
    if known.state != State::Creating || directory.is_busy() {
        return Ok(known);
    }
    // Nobody creates it: that ended since it was read, or was killed.
    let mut known = read(directory)?;
    if known.status.process.pid == 0 {
        known.state = State::Stopped;
    }
    Ok(known)
}

fn read(directory: &Directory) -> Result<Snapshot> {
    let status = Status::read(directory)?.ok_or_else(|| not_yet(directory))?;
    let state = status.state(directory)?;
    Ok(Snapshot { status, state })
}

fn not_yet(directory: &Directory) -> Error {
    let id = directory.id();
    Error::new(Kind::NotFound, format_args!("container \"{id}\" does not exist: it is not created yet"))
}

/// The state of one container. One that is being created is there for its hooks; for others it is not yet: they may
/// be asking until it is, to start it then, as they do with other runtimes.
pub fn report(store: &Store, id: &CStr) -> Result<Report> {
    let directory = store.open(id)?;
    let Snapshot { status, state } = of(&directory)?;
    if state == State::Creating && !status.early_hooks && directory.is_busy() {
        return Err(not_yet(&directory));
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
