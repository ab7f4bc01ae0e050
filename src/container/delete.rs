//! `delete`: undoes what `create` did.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::scope;
use super::store::directory::{Directory, Store};
use super::store::lock::{locked, seized};
use super::store::saved_config::SavedConfig;
use super::store::snapshot;
use super::store::status::{State, Status};
use crate::bundle::CONFIG;
use crate::cgroup::Cgroup;
use crate::cgroup::fs::path;
use crate::cgroup::fs::tasks::KILL_TIMEOUT;
use crate::cgroup::systemd::name::Names;
use crate::config::Config;
use crate::error::{Error, Kind, On, Result};
use crate::hooks::Point;
use crate::host::Cgroups;
use crate::sys::pidfd;
use crate::sys::signal::send;

/// Which containers are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// One that has stopped, was never started, or was left half made.
    No,
    /// Any: its processes are killed, and one that does not exist is as good as removed.
    Yes,
    /// The same, and where nothing is made yet the whole process that is creating it is killed: for a program that is
    /// nothing but a command, not for one that may have created it in a thread.
    WithCreator,
}

/// Removes a container; `warnings` takes hooks that fail.
pub fn delete(store: &Store, id: &CStr, force: Force, warnings: &mut Vec<Error>) -> Result<()> {
    let directory = match force {
        Force::No => locked(store, id),
        _ => seized(store, id, force == Force::WithCreator),
    };
    let force = force != Force::No;
    let directory = match directory {
        Err(error) if force && error.kind() == Kind::NotFound => return Ok(()),
        directory => directory?,
    };
    // A create that was killed before it wrote anything made nothing either.
    let known = match snapshot::of(&directory) {
        Err(error) if error.kind() == Kind::NotFound => return directory.remove(),
        Err(_) if force && Status::read(&directory).is_err() => return remove_unknown(&directory),
        known => known?,
    };
    match known.state {
        // Only the lock's holder creates, and that is this process: whoever did is gone.
        State::Stopped | State::Created | State::Creating => {}
        _ if force => {}
        _ => {
            let (id, state) = (directory.id(), known.state.name());
            let why = format_args!("cannot delete container \"{id}\" that is not stopped: {state}");
            return Err(Error::new(Kind::State, why));
        }
    }
    remove(&directory, warnings)
}

/// Removes a container whose record cannot be read. Where its cgroup is, its configuration says, or else its id; whoever is
/// in there is killed.
#[cold]
#[inline(never)]
fn remove_unknown(directory: &Directory) -> Result<()> {
    let layout = Cgroups::read()?;
    if !matches!(layout, Cgroups::None) {
        Cgroup::open(&likely_cgroup(directory), &layout)?.remove()?;
    }
    directory.remove()
}

fn likely_cgroup(directory: &Directory) -> String {
    let own = || format!("/{}", directory.id());
    let Ok(Some(mut text)) = directory.read(CONFIG) else { return own() };
    let config = Config::decode("config.json", &mut text);
    let Some(given) = config.ok().and_then(|config| config.linux.cgroups_path) else { return own() };
    let scope = Names::plan(Some(given), directory.id(), "system.slice").map(|names| names.path("/"));
    scope.or_else(|_| path::plan(Some(given), directory.id())).unwrap_or_else(|_| own())
}

/// Ends what is left of it, removes it, and runs the hooks for that; `warnings` takes those that fail.
pub(super) fn remove(directory: &Directory, warnings: &mut Vec<Error>) -> Result<()> {
    let Some(status) = Status::read(directory)? else { return directory.remove() };
    // A `delete` that was killed may have begun to remove the directory: then hooks cannot be known any more.
    let known = status.hooks && directory.has_config();
    let saved_config = if known { Some(SavedConfig::read(directory, &status)?) } else { None };
    if status.process.pid == 0 {
        // From here on it is not being created: see `lock::kill_creator`.
        directory.remove_config()?;
    }
    remove_known(directory, &status)?;
    // Not before: what cannot be understood must not keep it from being removed.
    if let Some(mut saved_config) = saved_config {
        saved_config.hooks()?.run_all(Point::Poststop, 0, &mut |warning| warnings.push(warning));
    }
    Ok(())
}

fn remove_known(directory: &Directory, status: &Status) -> Result<()> {
    let process = status.process.open()?;
    if let Some(process) = &process {
        let _ = send(process, rustix::process::Signal::KILL.as_raw());
    }
    let cgroups = Cgroups::read()?.of(status.named);
    if let Some(path) = &status.cgroup
        && !matches!(cgroups, Cgroups::None)
    {
        let cgroup = Cgroup::open(path, &cgroups)?;
        match status.process.pid {
            0 => cgroup.remove_unentered()?,
            _ => cgroup.remove()?,
        }
        scope::stop(directory, status, &cgroups)?;
    }
    status.rdt.remove()?;
    // The first process last: in a pid namespace it ends when all others have.
    if let Some(process) = &process {
        // One that is in a frozen cgroup of somebody else's does not even end.
        if !pidfd::wait_for(process, Some(KILL_TIMEOUT)).on(format_args!("poll"))? {
            let (id, pid) = (directory.id(), status.process.pid);
            let why = format_args!(
                "cannot delete container \"{id}\": its process {pid} was killed and does not end"
            );
            return Err(Error::new(Kind::State, why));
        }
    }
    directory.remove()
}
