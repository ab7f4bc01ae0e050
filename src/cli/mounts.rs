//! `mote mounts`: adds mounts to a container, or removes them.

use mote::container::mounts::{Change, change};
use mote::error::{Error, Kind, Result};

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
    let verb = match verb.to_bytes() {
        b"add" => Change::Add,
        b"remove" => Change::Remove,
        _ => return Err(Error::new(Kind::Usage, format_args!("mounts: neither add nor remove"))),
    };
    change(&context.store, id, file, verb).map(|()| 0)
}
