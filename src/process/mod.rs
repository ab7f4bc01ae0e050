//! The attributes of a process: its credentials, limits, environment and program. There is one file for each kernel
//! object; `launch/finish.rs` applies them in order.

pub mod affinity;
pub mod after_filter;
pub mod calls;
pub mod caps;
pub mod cwd;
pub mod env;
pub mod exec;
pub mod fds;
pub mod foreign;
pub mod keyring;
pub mod label;
pub mod mempolicy;
pub mod numbers;
pub mod oom;
pub mod rlimit;
pub mod scheduler;
pub mod signals;
pub mod terminal;
pub mod user;
