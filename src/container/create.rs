//! `create`, and the part of it that `run` shares: from a bundle to a container init that waits to be started.

use alloc::vec::Vec;

use super::creation::{Creation, Launch, Sources, Until};
use super::outcome::Outcome;
use super::store::directory::{Directory, Store};
use super::supervise::block_signals_of_writes;
use crate::error::{Error, Result};
use crate::sys::program_text;

pub use super::creation::Request;

/// A container whose init process is launched.
pub(crate) struct CreatedContainer {
    pub directory: Directory,
    pub launch: Launch,
}

/// Creates a container, whose init process then waits for `start` (runtime.md, "Create"). Settings without effect are
/// added to `warnings`. On an error everything is removed again.
///
/// The [kind](crate::error::Kind) of an error is `Exists` if the ID is in use, `Invalid` or `Unsupported` for a setting,
/// `NoProgram` or `Program` if the program cannot be executed, `Hook`, or `System`.
pub fn create(store: &Store, request: &Request<'_>, warnings: &mut Vec<Error>) -> Result<Outcome> {
    block_signals_of_writes()?;
    let CreatedContainer { launch, .. } = bring_up(store, request, Until::Created, warnings)?;
    Ok(Outcome::running(launch.launched.pid, launch.launched.pidfd))
}

/// Creates a container and, unless `until` is `Created`, starts its program. On an error everything is removed again.
pub(crate) fn bring_up(
    store: &Store,
    request: &Request<'_>,
    until: Until,
    warnings: &mut Vec<Error>,
) -> Result<CreatedContainer> {
    let directory = store.create(request.id)?;
    let mut sources = Sources::default();
    let planned = Creation::plan(&directory, request, until, &mut sources, warnings);
    // If planning fails, nothing but the directory exists.
    let mut creation = planned.inspect_err(|_| drop(directory.remove()))?;
    // Decoding and planning are done. If this fails, only more pages stay resident.
    program_text::drop_text_pages();
    match creation.make() {
        Ok(launched) => {
            launched.prepare_next(directory.fd());
            let launch = creation.finish(launched);
            Ok(CreatedContainer { directory, launch })
        }
        Err(error) => Err(creation.undo(error)),
    }
}
