//! `mote resume`: lets go on a container that is paused.

use mote::container::pause::resume;
use mote::error::Result;

use super::context::Context;
use super::options::{Command, Matches};

/// `resume`
pub static COMMAND: Command = Command {
    name: "resume",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "let the processes of a paused container go on",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    resume(&context.store, matches.id()).map(|()| 0)
}
