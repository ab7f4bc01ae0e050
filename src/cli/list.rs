//! `mote list`: lists all containers as a table, as JSON, or their IDs only.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mote::internal::container::state::Report;
use mote::internal::document::pretty::pretty;
use mote::internal::document::state::{text, user_name};
use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::List;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};
use super::output::print;

/// `list`
pub static COMMAND: Command = Command {
    name: "list",
    operands: "",
    count: (0, 0),
    rest: None,
    about: "list containers",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 2] = [
    flag("quiet", Some('q'), "print container IDs only"),
    value("format", Some('f'), "table|json", "output format (default: table)"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let format = matches.text("format")?.unwrap_or("table");
    if !matches!(format, "table" | "json") {
        return Err(Error::new(Kind::Usage, format_args!("--format: unknown format \"{format}\"")));
    }
    let reports = context.perform(&List {})?;
    if matches.has("quiet") {
        return print(&reports.iter().map(|report| format!("{}\n", report.id)).collect::<String>());
    }
    match format {
        "json" => print(&pretty(&format!("[{}]", reports.iter().map(text).collect::<Vec<_>>().join(",")))),
        _ => print(&table(&reports)),
    }
}

/// The containers as a table, with three spaces between columns.
fn table(reports: &[Report]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let row = |report: &Report| {
        let status = report.state.name().into();
        let (bundle, created) = (report.bundle.clone(), report.created.clone());
        [report.id.clone(), report.pid.to_string(), status, bundle, created, user_name(report.owner)]
    };
    let rows: Vec<_> = core::iter::once(head).chain(reports.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}
