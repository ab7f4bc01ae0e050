//! What a process is: its identity, its limits, its program. One file per kernel object; the order in
//! which they are applied is `launch/finish.rs`.

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
