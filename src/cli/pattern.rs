//! `--regex`: applies a command to every container whose ID matches an extended regular expression (regex(7)).

use core::ffi::CStr;

use mote::internal::args::regex::Pattern;
use mote::internal::error::{At, Result};

use super::context::Context;

/// Applies `action` to each matching container. A failure is logged as a warning and does not stop the loop; the exit
/// code is 0, as with crun.
pub fn each(context: &Context, pattern: &CStr, action: impl Fn(&CStr) -> Result<()>) -> Result<i32> {
    let text = pattern.to_string_lossy();
    let pattern = Pattern::new(&text).at(format_args!("--regex"))?;
    for id in context.store().list()? {
        if pattern.matches(&id.to_string_lossy())
            && let Err(error) = action(&id)
        {
            context.log.warning(&error);
        }
    }
    Ok(0)
}
