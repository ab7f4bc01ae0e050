//! `mote events`: prints resource usage statistics and OOM kills of a container.

use alloc::vec::Vec;
use core::time::Duration;

use mote::internal::args::duration;
use mote::internal::engine::Reports;
use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::Events;
use mote::internal::sys::fd::stdout;
use rustix::io::Errno;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};
use super::output::print;

/// `events`
pub static COMMAND: Command = Command {
    name: "events",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "print resource usage statistics and OOM kills of a container",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 2] = [
    flag("stats", None, "print the statistics once and exit"),
    value(
        "interval",
        None,
        "TIME",
        "interval between statistics, as 1m30s, 500ms or a number of seconds (default: 5s)",
    ),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let interval = match matches.text("interval")? {
        None => Duration::from_secs(5),
        Some(text) => duration::parse(text).ok_or_else(|| {
            Error::new(Kind::Usage, format_args!("--interval: invalid duration \"{text}\""))
        })?,
    };
    let interval = u64::try_from(interval.as_millis()).ok().filter(|_| !matches.has("stats"));
    let events = &mut |line: &str| print(line).map(drop);
    let mut reports = Reports { warnings: Vec::new(), events, output: stdout() };
    match context.engine.perform(&Events { id: matches.id().into(), interval }, &mut reports) {
        // The reader has closed the pipe.
        Err(error) if error.is(Errno::PIPE) => Ok(0),
        other => other.map(|()| 0),
    }
}
