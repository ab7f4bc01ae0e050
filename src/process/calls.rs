//! The callback to which the plans report the system calls that they will make.

/// Called with the name and the arguments of each system call.
pub type Calls<'c> = dyn FnMut(&'static str, &[u64]) + 'c;
