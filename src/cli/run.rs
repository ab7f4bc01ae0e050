//! `mote run`: creates a container, runs it, and in the foreground waits for its end.

use mote::container::run::{self, Foreground};
use mote::error::Result;

use super::context::Context;
use super::create;
use super::options::{Command, Matches, Opt, flag};

/// `run`
pub static COMMAND: Command = Command {
    name: "run",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "create a container and run it; its exit status is mote's",
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
    flag("detach", Some('d'), "do not wait for the container's end"),
    flag("keep", None, "keep the container's state when it has ended"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let request = create::request(context, matches)?;
    let foreground = Foreground { keep: matches.has("keep"), subreaper: !matches.has("no-subreaper") };
    let foreground = Some(foreground).filter(|_| !matches.has("detach"));
    context.warning(|warnings| run::run(&context.store, &request, foreground, warnings))
}
