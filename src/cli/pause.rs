//! `mote pause`: suspends all processes in a container.

use mote::container::pause::pause;
use mote::error::Result;

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
    pause(&context.store, matches.id()).map(|()| 0)
}
