//! `kill`: a signal to a container's process, or to all of them.

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

/// SIGKILL.
const KILL: i32 = Signal::KILL.as_raw();

/// Sends signal number `signal` to the container's first process; with `all` to every process in the container's
/// cgroup, and then it is no error that the first one has ended.
///
/// SIGKILL ends the container, as for runc: also its other processes, where they do not end with the first one or have
/// outlived it, and when it is paused.
///
/// For the first process alone nobody is waited for: what hangs can be killed.
pub fn kill(store: &Store, id: &CStr, signal: i32, all: bool) -> Result<()> {
    let directory = store.open(id)?;
    let known = snapshot::of(&directory)?;
    if known.state != State::Created || signal == KILL || !ends_by_default(signal) {
        return deliver(&directory, &known, signal, all, &|| locked(store, id).map(Some));
    }
    // The first process of a pid namespace gets no signal that it has no handler for, and while it waits for `start` it has none: what
    // waits there has no use for a signal that ends it. Locked, so that nobody starts it meanwhile.
    let directory = locked(store, id)?;
    let known = snapshot::of(&directory)?;
    let signal = if known.state == State::Created { KILL } else { signal };
    deliver(&directory, &known, signal, all, &|| Ok(None))
}

/// `lock` is called before the freezer is used, as by `pause`.
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
    // Until it is set up, its first process is all that there is of it.
    let cgroup = status.cgroup.as_ref().filter(|_| is_wider && *state != State::Creating);
    let mut reached = all;
    // KILL goes there in any case: it may have left the cgroup, and who waits for it may hold the lock.
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
    // The freezer of v1 keeps them from ending: in a paused container, or where it was frozen while it was set up.
    if signal == KILL
        && matches!(state, State::Paused | State::Creating)
        && let Some(path) = &status.cgroup
    {
        Cgroup::open(path, &Cgroups::read()?)?.thaw_to_kill()?;
    }
    if reached { Ok(()) } else { Err(known.not_running(directory)) }
}

/// Whether a process without a handler ends by a signal (signal(7), "Standard signals").
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
