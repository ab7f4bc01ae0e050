//! `start`: lets a created container run its program.

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
use crate::error::{At, Error, Kind, Result};
use crate::hooks::Point;
use crate::launch::message::{Channel, Message};
use crate::launch::start_socket;

/// Starts it, and comes back when its program runs, or with the reason why it does not.
/// With `notify_socket` it waits until the container is ready, and reports that there. `seccomp_receiver` takes
/// the listener of its filter where its configuration names nobody.
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
    // By its number, which is its own as long as it accepts connections at the start socket.
    let stat = Stat::open(status.process.pid);
    let Some(channel) = start_socket::connect_start(directory.fd(), directory.path())? else {
        return Err(fail(": its process is gone"));
    };
    let notify = notify_socket.map(|host| Notify::listen(&directory, host)).transpose()?.flatten();
    let process = notify.is_some().then(|| status.process.open()).transpose()?.flatten();
    channel.send(&Message::Go);
    // Nobody else can start it now. The answer may take long (startContainer hooks, a process that is stopped),
    // and meanwhile others must be able to kill it.
    directory.remove_start_socket()?;
    directory.unlock()?;
    let answer = match channel.receive()? {
        Message::FilterListener(number) => serve(&directory, &status, &channel, number, seccomp_receiver)?,
        other => other,
    };
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
        notify.wait(status.process.pid, &process)?;
    }
    started
}

/// Whether the program runs, or has run, by what its process has said last.
fn ran(answer: Message, stat: Option<Stat>) -> Result<()> {
    let is_reset = match answer {
        Message::Failed(error) => return Err(error),
        // It exited before it read the message that starts it.
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

/// Hands over the listener of its filter, and gives what it says then. If that fails it ends.
fn serve(
    directory: &Directory,
    status: &Status,
    channel: &Channel,
    number: i32,
    default: Option<&CStr>,
) -> Result<Message> {
    let pid = status.process.pid;
    let lost =
        || Error::new(Kind::State, format_args!("its process, or who takes its seccomp listener, is gone"));
    let served = SavedConfig::read(directory, status)?.receiver(default).and_then(|receiver| {
        let (receiver, process) = receiver.zip(status.process.open()?).ok_or_else(lost)?;
        receiver.handover(pid, State::Created, pid).hand_over(channel, &process, number)
    });
    served.at(format_args!("container \"{}\"", directory.id()))
}
