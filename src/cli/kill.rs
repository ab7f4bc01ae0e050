//! `mote kill`: sends a signal to the processes of a container.

use mote::args::signal_name;
use mote::container::kill::kill;
use mote::error::Result;

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
    match matches.has("regex") {
        true => pattern::each(context, matches.id(), |id| kill(&context.store, id, signal, all)),
        false => kill(&context.store, matches.id(), signal, all).map(|()| 0),
    }
}
