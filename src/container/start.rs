//! `start`: starts the program of a created container.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::delete;
use super::notify::Notify;
use super::store::directory::{Directory, Store};
use super::store::identity::Stat;
use super::store::lock::locked;
use super::store::saved_config::SavedConfig;
use super::store::snapshot::{self, Snapshot};
use super::store::status::{State, Status};
use crate::cgroup::fs::tasks::KILL_TIMEOUT;
use crate::error::{At, Error, Kind, Result};
use crate::hooks::Point;
use crate::launch::message::{Channel, Message};
use crate::launch::start_socket;
use crate::sys::pidfd;

/// Starts the program of a created container, and returns when it runs. With `notify_socket` it waits until the
/// container is ready, and reports that there. `seccomp_receiver` is the default of `linux.seccomp.listenerPath`.
///
/// Errors: [`Kind::State`] if the container is not created or its init process died; [`Kind::Hook`] if a hook failed,
/// after which the container is removed; the child's error if the program was not executed.
pub fn start(
    store: &Store,
    id: &CStr,
    notify_socket: Option<&CStr>,
    seccomp_receiver: Option<&CStr>,
    warnings: &mut Vec<Error>,
) -> Result<()> {
    let directory = locked(store, id)?;
    let Snapshot { state, status } = snapshot::of(&directory)?;
    let fail = |why: &str| {
        let (id, state) = (directory.id(), state.name());
        Error::new(Kind::State, format_args!("cannot start container \"{id}\" that is {state}{why}"))
    };
    if state != State::Created {
        return Err(fail(""));
    }
    // By PID: the PID cannot have been reused while the process accepts connections at the start socket.
    let stat = Stat::open(status.process.pid);
    let Some(channel) = start_socket::connect_start(directory.fd(), directory.path())? else {
        return Err(fail(": its process has exited"));
    };
    let notify = notify_socket.map(|host| Notify::listen(&directory, host)).transpose()?.flatten();
    let process = notify.is_some().then(|| status.process.open()).transpose()?.flatten();
    channel.send(&Message::Go);
    // Without the socket no other command can start it. The reply may take long (startContainer hooks, a stopped
    // process), so the lock is released: `kill` and `delete` must be possible meanwhile.
    directory.remove_start_socket()?;
    directory.unlock()?;
    let answer = match channel.receive()? {
        Message::FilterListener(number) => serve(&directory, &status, &channel, number, seccomp_receiver)?,
        other => other,
    };
    if let Message::Failed(_) = answer {
        wait_for_exit(&status);
    }
    let started = match ran(answer, stat) {
        Ok(()) if status.hooks => {
            SavedConfig::read(&directory, &status)?.hooks()?.run(Point::Poststart, status.process.pid)
        }
        ran => ran.at(format_args!("container \"{}\"", directory.id())),
    };
    // "If any startContainer hook fails, the runtime MUST generate an error, stop the container, and continue the
    // lifecycle at step 12", its removal; poststart the same.
    if matches!(&started, Err(error) if error.kind() == Kind::Hook) && directory.lock()? {
        let mut more = Vec::new();
        warnings.extend(delete::remove(&directory, &mut more).err());
        warnings.append(&mut more);
    }
    if started.is_ok()
        && let Some((notify, process)) = notify.zip(process)
    {
        // The container runs.
        warnings.extend(notify.wait(status.process.pid, &process).err());
    }
    started
}

/// Waits until the child, which has reported an error, has exited: the container is stopped then. In a cgroup that is frozen
/// meanwhile it does not exit.
#[cold]
#[inline(never)]
fn wait_for_exit(status: &Status) {
    if let Ok(Some(process)) = status.process.open() {
        let _ = pidfd::wait_for(&process, Some(KILL_TIMEOUT));
    }
}

/// Checks, from the last message of the child, whether the program runs or has run.
fn ran(answer: Message, stat: Option<Stat>) -> Result<()> {
    let is_reset = match answer {
        Message::Failed(error) => return Err(error),
        // A reset: it exited before it read `Go`.
        answer => matches!(answer, Message::PeerReset),
    };
    match stat.and_then(Stat::died_unexecuted) {
        None if !is_reset => Ok(()),
        Some(Some(end)) => {
            Err(Error::new(Kind::State, format_args!("its process died before its program ran: {end}")))
        }
        _ => Err(Error::new(Kind::State, format_args!("its process died before its program ran"))),
    }
}

/// Hands over the listener fd of the child's filter, and returns the next message. If this fails, the child exits.
fn serve(
    directory: &Directory,
    status: &Status,
    channel: &Channel,
    number: i32,
    default: Option<&CStr>,
) -> Result<Message> {
    let pid = status.process.pid;
    let lost =
        || Error::new(Kind::State, format_args!("its process has exited, or no listenerPath is configured"));
    let served = SavedConfig::read(directory, status)?.receiver(default).and_then(|receiver| {
        let (receiver, process) = receiver.zip(status.process.open()?).ok_or_else(lost)?;
        receiver.handover(pid, State::Created, pid).hand_over(channel, &process, number)
    });
    served.at(format_args!("container \"{}\"", directory.id()))
}
