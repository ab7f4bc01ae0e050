//! `mote kill`: sends a signal to the processes of a container.

use core::ffi::CStr;

use mote::internal::args::signal_name;
use mote::internal::error::Result;
use mote::internal::operations::Kill;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag};
use super::pattern;

/// `kill`
pub static COMMAND: Command = Command {
    name: "kill",
    operands: "ID [SIGNAL]",
    count: (1, 2),
    rest: None,
    about: "send a signal to the container init (default: TERM)",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 2] = [
    flag("all", Some('a'), "send the signal to all processes in the container"),
    flag("regex", Some('r'), "signal every container whose ID matches the regular expression ID"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let signal = match matches.operands.get(1) {
        Some(signal) => signal_name::parse(&signal.to_string_lossy())?,
        None => 15,
    };
    let all = matches.has("all");
    let kill = |id: &CStr| context.perform(&Kill { id: id.into(), signal, all });
    match matches.has("regex") {
        true => pattern::each(context, matches.id(), kill),
        false => kill(matches.id()).map(|()| 0),
    }
}
