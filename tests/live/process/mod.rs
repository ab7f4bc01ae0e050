//! The process: who it is, what it may, what it is given, and how its end is told.

pub mod caller;
pub mod capability;
pub mod descriptor;
pub mod end;
pub mod identity;
pub mod interpreter;
pub mod label;
pub mod limit;
pub mod program;
pub mod schedule;
pub mod selinux;
pub mod signal;
