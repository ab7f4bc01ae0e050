//! The operations on containers, one file for each, and the state directory (`store/`).

pub(crate) mod console;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod kill;
pub mod list;
pub(crate) mod listener;
pub mod mounts;
pub(crate) mod notify;
pub mod pause;
pub mod pid_receivers;
pub mod ps;
pub(crate) mod relay;
pub mod run;
pub(crate) mod scope;
pub mod start;
pub mod state;
pub(crate) mod statistics;
pub mod store;
pub(crate) mod supervise;
pub mod time;
pub mod update;
