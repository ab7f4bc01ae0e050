//! `mote start`: starts the program of a created container.

use mote::container::start::start;
use mote::error::Result;

use super::context::Context;
use super::options::{Command, Matches};

/// `start`
pub static COMMAND: Command = Command {
    name: "start",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "start the program of a created container",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let (notify, seccomp) = (context.notify_socket.as_deref(), context.seccomp_receiver.as_deref());
    context.warning(|warnings| start(&context.store, matches.id(), notify, seccomp, warnings)).map(|()| 0)
}
