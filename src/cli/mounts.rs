//! `mote mounts`: adds mounts to a container, or removes them.

use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::{ChangeMounts, Document};

use super::context::Context;
use super::options::{Command, Matches};

/// `mounts`
pub static COMMAND: Command = Command {
    name: "mounts",
    operands: "add|remove ID FILE",
    count: (3, 3),
    rest: None,
    about: "add mounts to an existing container, or remove them",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let [verb, id, file] = matches.operands.as_slice() else { return Ok(1) };
    let remove = match verb.to_bytes() {
        b"add" => false,
        b"remove" => true,
        _ => return Err(Error::new(Kind::Usage, format_args!("mounts: neither add nor remove"))),
    };
    let mounts = Document::File((*file).into());
    context.perform(&ChangeMounts { id: (*id).into(), mounts, remove }).map(|()| 0)
}
