//! The attributes of a process: its credentials, limits, environment and program. There is one file for each kernel
//! object; `launch/finish.rs` applies them in order.

pub(crate) mod affinity;
pub(crate) mod after_filter;
pub(crate) mod call_names;
pub(crate) mod calls;
pub mod caps;
pub(crate) mod cwd;
pub(crate) mod env;
pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod foreign;
pub(crate) mod keyring;
pub(crate) mod label;
pub(crate) mod mempolicy;
pub(crate) mod numbers;
pub(crate) mod oom;
pub(crate) mod rlimit;
pub(crate) mod scheduler;
pub(crate) mod signals;
pub(crate) mod terminal;
pub(crate) mod user;
