//! `mote features`: prints the supported features as JSON.

use mote::internal::document::features::features;
use mote::internal::error::Result;

use super::checkpoint::search_path;
use super::context::Context;
use super::options::{Command, Matches};
use super::output::print;

/// `features`
pub static COMMAND: Command = Command {
    name: "features",
    operands: "",
    count: (0, 0),
    rest: None,
    about: "print the features that mote supports",
    options: &[],
    run,
};

fn run(_: &Context, _: &Matches) -> Result<i32> {
    print(&features(&search_path()))
}
