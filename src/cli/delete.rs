//! `mote delete`: deletes a container.

use core::ffi::CStr;

use mote::internal::error::Result;
use mote::internal::operations::Delete;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag};
use super::pattern;

/// `delete`
pub static COMMAND: Command = Command {
    name: "delete",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "delete a container that is stopped or was never started",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 2] = [
    flag("force", Some('f'), "kill the container first if it is running; succeed if it does not exist"),
    flag("regex", Some('r'), "delete every container whose ID matches the regular expression ID"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let force = matches.has("force");
    let one = |id: &CStr| context.perform(&Delete { id: id.into(), force });
    match matches.has("regex") {
        true => pattern::each(context, matches.id(), one),
        false => one(matches.id()).map(|()| 0),
    }
}
