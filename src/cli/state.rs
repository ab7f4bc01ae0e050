//! `mote state`: prints the state of a container as JSON.

use mote::internal::document::pretty::pretty;
use mote::internal::document::state::text;
use mote::internal::error::Result;
use mote::internal::operations::GetState;

use super::context::Context;
use super::options::{Command, Matches};
use super::output::print;

/// `state`
pub static COMMAND: Command = Command {
    name: "state",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "print the state of a container as JSON",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    print(&pretty(&text(&context.perform(&GetState { id: matches.id().into() })?)))
}
