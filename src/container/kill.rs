//! `kill`: sends a signal to the container init, or to all processes of a container.

use core::ffi::CStr;

use rustix::io::Errno;
use rustix::process::Signal;

use super::store::directory::{Directory, Store};
use super::store::lock::locked;
use super::store::snapshot::{self, Snapshot};
use super::store::status::State;
use crate::cgroup::Cgroup;
use crate::error::{On, Result};
use crate::host::Cgroups;
use crate::sys::signal::send;

const KILL: i32 = Signal::KILL.as_raw();

/// Sends signal number `signal` to the container init; with `all` to every process in the container's cgroup, in which
/// case it is not an error that the container init has exited.
///
/// SIGKILL kills the whole container, as with runc: also the processes that do not die with the container init or have
/// outlived it, and also if the container is paused.
///
/// Signalling the container init alone takes no lock, so that a command that hangs cannot prevent it.
///
/// Errors: [`Kind::State`](crate::error::Kind::State), "container not running", if no process was reached.
pub fn kill(store: &Store, id: &CStr, signal: i32, all: bool) -> Result<()> {
    let directory = store.open(id)?;
    let known = snapshot::of(&directory)?;
    if known.state != State::Created || signal == KILL || !ends_by_default(signal) {
        return deliver(&directory, &known, signal, all, &|| locked(store, id).map(Some));
    }
    // The init process of a pid namespace gets only signals that it has a handler for (pid_namespaces(7)), and before
    // `start` it has none: a signal that would terminate it is sent as SIGKILL. Locked against a concurrent `start`.
    let directory = locked(store, id)?;
    let known = snapshot::of(&directory)?;
    let signal = if known.state == State::Created { KILL } else { signal };
    deliver(&directory, &known, signal, all, &|| Ok(None))
}

/// Sends the signal. `lock` is called before the cgroup is signalled, which may use the freezer, as `pause` does.
fn deliver(
    directory: &Directory,
    known: &Snapshot,
    signal: i32,
    all: bool,
    lock: &dyn Fn() -> Result<Option<Directory>>,
) -> Result<()> {
    let Snapshot { status, state } = known;
    let process = status.process.open()?.filter(|_| *state != State::Stopped);
    let ends_all = || process.as_ref().is_some_and(|process| status.process.leads_pid_namespace(process));
    let is_wider = all || signal == KILL && (*state == State::Paused || !ends_all());
    // While it is being created, the container init is its only process.
    let cgroup = status.cgroup.as_ref().filter(|_| is_wider && *state != State::Creating);
    let mut reached = all;
    // SIGKILL is always sent to the container init directly: it may have left the cgroup, and the holder of the lock
    // may be waiting for it.
    if let Some(process) = process.filter(|_| cgroup.is_none() || signal == KILL) {
        match send(&process, signal) {
            Err(Errno::SRCH) => {}
            sent => reached = sent.on(format_args!("pidfd_send_signal {signal}")).map(|()| true)?,
        }
    }
    if let Some(path) = cgroup {
        let _locked = lock()?;
        let cgroup = Cgroup::open(path, &Cgroups::read()?)?;
        reached = reached || !cgroup.processes()?.is_empty();
        cgroup.signal_all(signal)?;
    }
    // Frozen processes of v1 do not exit: thaw a container that is paused, or was frozen during its creation.
    if signal == KILL
        && matches!(state, State::Paused | State::Creating)
        && let Some(path) = &status.cgroup
    {
        Cgroup::open(path, &Cgroups::read()?)?.thaw_to_kill()?;
    }
    if reached { Ok(()) } else { Err(known.not_running(directory)) }
}

/// Whether the default disposition of a signal is to terminate the process (signal(7), "Standard signals").
fn ends_by_default(signal: i32) -> bool {
    let others = [
        Signal::CHILD,
        Signal::CONT,
        Signal::STOP,
        Signal::TSTP,
        Signal::TTIN,
        Signal::TTOU,
        Signal::URG,
        Signal::WINCH,
    ];
    signal != 0 && others.iter().all(|other| other.as_raw() != signal)
}
