//! `mote pause`: suspends all processes in a container.

use mote::internal::error::Result;
use mote::internal::operations::Pause;

use super::context::Context;
use super::options::{Command, Matches};

/// `pause`
pub static COMMAND: Command = Command {
    name: "pause",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "suspend all processes in a container",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    context.perform(&Pause { id: matches.id().into(), resume: false }).map(|()| 0)
}
