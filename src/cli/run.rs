//! `mote run`: creates and starts a container, and in the foreground waits for it to exit.

use mote::internal::error::Result;
use mote::internal::operations::{Create, Foreground};

use super::context::Context;
use super::create;
use super::options::{Command, Matches, Opt, flag};

/// `run`
pub static COMMAND: Command = Command {
    name: "run",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "create and start a container, and return its exit status",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 11] = [
    create::BUNDLE,
    create::CONFIG,
    create::PID_FILE,
    create::PIDFD_SOCKET,
    create::CONSOLE,
    create::PRESERVE,
    create::NO_PIVOT,
    create::NO_KEYRING,
    create::NO_SUBREAPER,
    flag("detach", Some('d'), "do not wait for the container to exit"),
    flag("keep", None, "do not delete the container when it exits"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let operation = create::operation(context, matches)?;
    context.start(&Create { run: true, foreground: foreground(matches), ..operation })
}

/// Waiting for the container, unless `--detach` is given.
pub fn foreground(matches: &Matches) -> Option<Foreground> {
    let is_detached = matches.has("detach");
    (!is_detached).then(|| Foreground { keep: matches.has("keep"), subreaper: !matches.has("no-subreaper") })
}
