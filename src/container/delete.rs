//! `delete`: undoes what `create` did.

use core::ffi::CStr;

use super::process;
use super::state::{self, Known};
use super::status::{State, Status};
use super::store::{Directory, Store};
use crate::cgroup::Cgroup;
use crate::error::{Error, Kind, Result};
use crate::host::Cgroups;
use crate::sys::signal::send;

/// Removes a container that has stopped, or was never started. With `force` any: its processes are killed,
/// and one that does not exist is as good as removed.
pub fn delete(store: &Store, id: &CStr, force: bool) -> Result<()> {
    let directory = match store.open_locked(id) {
        Err(error) if force && error.kind() == Kind::NotFound => return Ok(()),
        directory => directory?,
    };
    // A create that was killed before it wrote anything made nothing either.
    let known = match state::of(&directory) {
        Err(error) if error.kind() == Kind::NotFound => return directory.remove(),
        Err(_) if force && Status::read(&directory).is_err() => return directory.remove(),
        known => known?,
    };
    let Known { status, state } = known;
    match state {
        // Only the lock's holder creates, and that is this process: whoever did is gone.
        State::Stopped | State::Created | State::Creating => {}
        _ if force => {}
        _ => {
            let (id, state) = (directory.id(), state.name());
            let why = format_args!("cannot delete container \"{id}\" that is not stopped: {state}");
            return Err(Error::new(Kind::State, why));
        }
    }
    remove(&directory, &status)
}

fn remove(directory: &Directory, status: &Status) -> Result<()> {
    let process = status.process.open()?;
    if let Some(process) = &process {
        let _ = send(process, rustix::process::Signal::KILL.as_raw());
    }
    let cgroups = Cgroups::read()?;
    if let Some(path) = &status.cgroup
        && cgroups != Cgroups::None
    {
        Cgroup::open(path, &cgroups)?.remove()?;
    }
    // The first process last: in a pid namespace it ends when all others have.
    if let Some(process) = &process {
        process::wait(process);
    }
    directory.remove()
}
