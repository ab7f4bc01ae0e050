//! The state of a container at this moment, from its status file and its process.

use super::directory::Directory;
use super::status::{State, Status};
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

/// The snapshot of the container in a state directory; an error when it is not created yet.
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
    let status = Status::read(directory)?.ok_or_else(|| not_created(directory))?;
    let state = status.state(directory)?;
    Ok(Snapshot { status, state })
}

pub fn not_created(directory: &Directory) -> Error {
    let id = directory.id();
    Error::new(Kind::NotFound, format_args!("container \"{id}\" does not exist: it is not created yet"))
}
