//! System calls that a step of a process will make, as they are reported before it.

/// Takes the name and the arguments of each system call.
pub type Calls<'c> = dyn FnMut(&'static str, &[u64]) + 'c;
