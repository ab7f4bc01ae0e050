//! The current state of a container, from its status file and its init process.

use super::directory::Directory;
use super::status::{State, Status};
use crate::error::{Error, Kind, Result};

/// The status file of a container, and the state that follows from it and from the kernel.
pub struct Snapshot {
    pub status: Status,
    pub state: State,
}

impl Snapshot {
    /// The error for a container that is not running.
    pub fn not_running(&self, directory: &Directory) -> Error {
        let (id, state) = (directory.id(), self.state.name());
        // containerd matches on "container not running".
        Error::new(Kind::State, format_args!("container not running: \"{id}\" is {state}"))
    }
}

/// Takes a snapshot of the container in a state directory.
///
/// Errors: [`Kind::NotFound`] if there is no status file yet.
pub fn of(directory: &Directory) -> Result<Snapshot> {
    let known = read(directory)?;
    if known.state != State::Creating || directory.is_busy() {
        return Ok(known);
    }
    // The lock is free: creation has completed since the status was read, or its process was killed.
    let mut known = read(directory)?;
    if known.status.process.pid == 0 {
        known.state = State::Stopped;
    }
    Ok(known)
}

fn read(directory: &Directory) -> Result<Snapshot> {
    let status = Status::read(directory)?.ok_or_else(|| not_created(directory))?;
    let state = status.state(directory)?;
    Ok(Snapshot { status, state })
}

/// The error for a container whose creation has not completed. Engines match on "does not exist".
pub fn not_created(directory: &Directory) -> Error {
    let id = directory.id();
    Error::new(Kind::NotFound, format_args!("container \"{id}\" does not exist: it is not created yet"))
}
