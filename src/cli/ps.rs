//! `mote ps`: lists the processes in a container.

use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ffi::CStr;

use mote::internal::container::ps::table;
use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::Processes;

use super::context::Context;
use super::options::{Command, Matches, Opt, value};
use super::output::print;

/// `ps`
pub static COMMAND: Command = Command {
    name: "ps",
    operands: "ID [OPTION-OF-PS...]",
    count: (1, usize::MAX),
    rest: Some(1),
    about: "list the processes in a container",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 1] = [value("format", Some('f'), "table|json", "output format (default: table)")];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let format = matches.text("format")?.unwrap_or("table");
    if !matches!(format, "table" | "json") {
        return Err(Error::new(Kind::Usage, format_args!("--format: unknown format \"{format}\"")));
    }
    let pids = context.perform(&Processes { id: matches.id().into() })?;
    if format == "json" {
        let list: Vec<String> = pids.iter().map(i32::to_string).collect();
        return print(&format!("[{}]\n", list.join(",")));
    }
    let options: Vec<&CStr> = matches.operands.iter().skip(1).copied().collect();
    print(&table(&pids, &options)?)
}
