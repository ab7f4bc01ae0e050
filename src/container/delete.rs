//! `delete`: removes a container and everything that `create` created for it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use rustix::io::Errno;

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
    /// Only a container that is stopped, not started, or whose creation was interrupted.
    No,
    /// Any: its processes are killed, and if it has none yet, the mote process that is creating it. A container that does
    /// not exist is not an error.
    Yes,
}

/// Removes a container. Failures of poststop hooks are added to `warnings`.
///
/// Errors: [`Kind::NotFound`] without force; [`Kind::State`] if the container is not stopped, or a killed process does
/// not exit.
pub fn delete(store: &Store, id: &CStr, force: Force, warnings: &mut Vec<Error>) -> Result<()> {
    let directory = match force {
        Force::No => locked(store, id),
        _ => seized(store, id),
    };
    let force = force != Force::No;
    let directory = match directory {
        Err(error) if force && error.kind() == Kind::NotFound => return Ok(()),
        directory => directory?,
    };
    // A `create` that was killed before it wrote the status file has created nothing else.
    let known = match snapshot::of(&directory) {
        Err(error) if error.kind() == Kind::NotFound => return directory.remove(),
        Err(_) if force && Status::read(&directory).is_err() => return remove_unknown(&directory),
        known => known?,
    };
    match known.state {
        // Creating: creation needs the lock, which this process holds, so the creating process is dead.
        State::Stopped | State::Created | State::Creating => {}
        _ if force => {}
        _ => {
            let (id, state) = (directory.id(), known.state.name());
            let why = format_args!("cannot delete container \"{id}\": it is {state}");
            return Err(Error::new(Kind::State, why));
        }
    }
    remove(&directory, warnings)
}

/// Removes a container whose status file cannot be read. The path of its cgroup is taken from its configuration, or
/// else from its ID; processes in that cgroup are killed.
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

/// Kills the remaining processes, removes the container and runs its poststop hooks; their failures are added to
/// `warnings`.
pub(super) fn remove(directory: &Directory, warnings: &mut Vec<Error>) -> Result<()> {
    let Some(status) = Status::read(directory)? else { return directory.remove() };
    // Without config.json, which an interrupted `delete` may have removed, the hooks are unknown.
    let known = status.hooks && directory.has_config();
    let saved_config = if known { Some(SavedConfig::read(directory, &status)?) } else { None };
    if status.process.pid == 0 {
        // Marks that it is not being created any more: see `lock::kill_creator`.
        directory.remove_config()?;
    }
    remove_known(directory, &status)?;
    // After the removal, which a configuration that cannot be decoded must not prevent.
    if let Some(mut saved_config) = saved_config {
        saved_config.hooks()?.run_all(Point::Poststop, 0, &mut |warning| warnings.push(warning));
    }
    Ok(())
}

fn remove_known(directory: &Directory, status: &Status) -> Result<()> {
    let process = status.process.open()?;
    if let Some(process) = &process {
        match send(process, rustix::process::Signal::KILL.as_raw()) {
            Ok(()) | Err(Errno::SRCH) => {}
            // Nothing has been removed yet.
            sent => sent.on(format_args!("pidfd_send_signal SIGKILL"))?,
        }
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
    // The container init last: in a pid namespace it exits after all others (pid_namespaces(7)).
    if let Some(process) = &process {
        // In a frozen cgroup outside of the container's, a killed process does not exit.
        if !pidfd::wait_for(process, Some(KILL_TIMEOUT)).on(format_args!("poll"))? {
            let (id, pid) = (directory.id(), status.process.pid);
            let why =
                format_args!("cannot delete container \"{id}\": process {pid} does not exit after SIGKILL");
            return Err(Error::new(Kind::State, why));
        }
    }
    directory.remove()
}
