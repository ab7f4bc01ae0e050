//! The operations on containers, one file for each, and the state directory (`store/`).

pub mod console;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod kill;
pub mod list;
pub mod listener;
pub mod mounts;
pub mod notify;
pub mod pause;
pub mod pid_receivers;
pub mod ps;
pub mod relay;
pub mod run;
pub mod scope;
pub mod service;
pub mod start;
pub mod state;
pub mod statistics;
pub mod store;
pub mod supervise;
pub mod time;
pub mod update;
