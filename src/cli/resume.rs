//! `mote resume`: resumes all processes in a paused container.

use mote::internal::error::Result;
use mote::internal::operations::Pause;

use super::context::Context;
use super::options::{Command, Matches};

/// `resume`
pub static COMMAND: Command = Command {
    name: "resume",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "resume all processes in a paused container",
    options: &[],
    run,
};

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    context.perform(&Pause { id: matches.id().into(), resume: true }).map(|()| 0)
}
