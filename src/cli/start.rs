//! `mote start`: starts the program of a created container.

use mote::internal::error::Result;
use mote::internal::operations::Start;

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
    let operation = Start {
        id: matches.id().into(),
        notify_socket: context.notify_socket.clone().map(Into::into),
        seccomp_receiver: context.seccomp_receiver.clone().map(Into::into),
    };
    context.perform(&operation).map(|()| 0)
}
