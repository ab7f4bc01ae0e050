//! `mote delete`: removes a container.

use std::ffi::CStr;

use mote::container::delete::{Force, delete};
use mote::error::Result;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag};
use super::pattern;

/// `delete`
pub static COMMAND: Command = Command {
    name: "delete",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "remove a container that has ended or was not started",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 2] = [
    flag("force", Some('f'), "also one that runs; one that does not exist is no error"),
    flag("regex", Some('r'), "ID is a regular expression: every container that matches"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let force = if matches.has("force") { Force::WithCreator } else { Force::No };
    let one = |id: &CStr| context.warning(|warnings| delete(&context.store, id, force, warnings));
    match matches.has("regex") {
        true => pattern::each(context, matches.id(), one),
        false => one(matches.id()).map(|()| 0),
    }
}
