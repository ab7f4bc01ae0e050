//! `--regex`: one command for every container whose id matches an extended regular expression (regex(7)).

use core::ffi::CStr;

use mote::args::regex::Pattern;
use mote::error::{At, Result};

use super::context::Context;

/// Does it to each that matches. Failures are warnings: the others are to have their turn, and the exit
/// code is 0, as crun's is.
pub fn each(context: &Context, pattern: &CStr, action: impl Fn(&CStr) -> Result<()>) -> Result<i32> {
    let text = pattern.to_string_lossy();
    let pattern = Pattern::new(&text).at(format_args!("--regex"))?;
    for id in context.store.list()? {
        if pattern.matches(&id.to_string_lossy())
            && let Err(error) = action(&id)
        {
            context.log.warning(&error);
        }
    }
    Ok(0)
}
