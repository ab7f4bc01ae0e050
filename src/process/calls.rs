//! The calls that a plan will make, as the plans report them.

use crate::error::Error;
use crate::sys::call_list::{CallList, Failure};

/// Creates, in a list of calls, what sends an error and ends the process.
pub type OnFailure<'f> = dyn FnMut(&mut CallList, Error) -> Failure + 'f;

/// Called with the name and the arguments of each system call.
pub type Calls<'c> = dyn FnMut(&'static str, &[u64]) + 'c;
