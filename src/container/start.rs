//! `start`: opens the gate of a created container.

use core::ffi::CStr;

use super::state::{self, Known};
use super::status::State;
use super::store::Store;
use crate::error::{At, Error, Kind, Result};
use crate::launch::gate;
use crate::launch::message::Message;

/// Starts it, and comes back when its program runs, or with the reason why it does not.
pub fn start(store: &Store, id: &CStr) -> Result<()> {
    let directory = store.open_locked(id)?;
    let Known { state, .. } = state::of(&directory)?;
    let fail = |why: &str| {
        let (id, state) = (directory.id(), state.name());
        Error::new(Kind::State, format_args!("cannot start container \"{id}\" that is {state}{why}"))
    };
    if state != State::Created {
        return Err(fail(""));
    }
    let Some(channel) = gate::knock(directory.fd(), directory.path())? else {
        return Err(fail(": its process is gone"));
    };
    channel.send(&Message::Go);
    let answer = channel.receive()?;
    directory.remove_gate()?;
    match answer {
        Message::Failed(error) => Err(error).at(format_args!("container \"{}\"", directory.id())),
        _ => Ok(()),
    }
}
