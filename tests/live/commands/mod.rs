//! The commands: what each does and prints, and which arguments it rejects.

pub mod cli;
pub mod events;
pub mod id;
pub mod kill;
pub mod lifecycle;
pub mod list;
pub mod memory;
pub mod mounts;
pub mod notify;
pub mod pause;
pub mod spec;
pub mod state;
pub mod status_file;
pub mod update;
