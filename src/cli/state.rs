//! `mote state`: prints the state of a container as JSON.

use std::collections::BTreeMap;

use miniserde::{Serialize, json};
use mote::internal::container::state::Report;
use mote::internal::error::Result;
use mote::internal::operations::GetState;

use super::context::Context;
use super::options::{Command, Matches};
use super::output::{pretty, print, user_name};

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

/// The members of runtime.md, "State", and the additional members of crun and runc.
#[derive(Serialize)]
struct State<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: &'a str,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    owner: String,
    annotations: BTreeMap<&'a str, &'a str>,
}

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    print(&pretty(&text(&context.perform(&GetState { id: matches.id().into() })?)))
}

/// The state of a container as compact JSON.
pub fn text(report: &Report) -> String {
    json::to_string(&State {
        oci_version: &report.oci_version,
        id: &report.id,
        pid: report.pid,
        status: report.state.name(),
        bundle: &report.bundle,
        rootfs: &report.rootfs,
        created: &report.created,
        owner: user_name(report.owner),
        annotations: report.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    })
}
