//! Verbs on a container that has a name: one file each, besides the state directory they share.

pub mod announce;
pub mod attend;
pub mod console;
pub mod create;
pub mod delete;
pub mod exec;
pub mod id;
pub mod kept;
pub mod kill;
pub mod list;
pub mod mounts;
pub mod notify;
pub mod pattern;
pub mod pause;
pub mod process;
pub mod ps;
pub mod relay;
pub mod run;
pub mod start;
pub mod state;
pub mod status;
pub mod store;
pub mod time;
pub mod update;
