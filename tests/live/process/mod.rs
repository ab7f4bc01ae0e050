//! `process`: identity, privileges, limits, program and exit of the container init, and what it inherits from the
//! caller.

pub mod apparmor;
pub mod caller;
pub mod capability;
pub mod descriptor;
pub mod exit;
pub mod identity;
pub mod interpreter;
pub mod limit;
pub mod program;
pub mod schedule;
pub mod selinux;
pub mod signal;
