//! `pause` and `resume`: freeze and thaw the cgroup of a container.

use core::ffi::CStr;

use super::store::directory::Store;
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::State;
use crate::cgroup::Cgroup;
use crate::error::{Error, Kind, Result};
use crate::host::Cgroups;

/// Freezes all processes of a container; returns when they are frozen.
///
/// Errors: [`Kind::State`] if the container is not running or has no cgroup.
pub fn pause(store: &Store, id: &CStr) -> Result<()> {
    change(store, id, true)
}

/// Thaws a paused container.
///
/// Errors: [`Kind::State`] if the container is not paused.
pub fn resume(store: &Store, id: &CStr) -> Result<()> {
    change(store, id, false)
}

fn change(store: &Store, id: &CStr, on: bool) -> Result<()> {
    let directory = locked(store, id)?;
    let Snapshot { status, state } = snapshot::of(&directory)?;
    let refuse = |why: &str| {
        let (id, verb) = (directory.id(), if on { "pause" } else { "resume" });
        Err(Error::new(Kind::State, format_args!("cannot {verb} container \"{id}\": {why}")))
    };
    match (on, state) {
        (true, State::Running | State::Created) | (false, State::Paused) => {}
        (true, State::Paused) => return refuse("it is paused already"),
        (true, _) => return refuse("container not running"),
        (false, _) => return refuse("container not paused"),
    }
    match &status.cgroup {
        Some(path) => Cgroup::open(path, &Cgroups::read()?)?.set_frozen(on),
        None => refuse("it has no cgroup"),
    }
}
