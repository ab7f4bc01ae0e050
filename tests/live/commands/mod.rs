//! The command line: what each command does, prints, and refuses.

pub mod events;
pub mod id;
pub mod kill;
pub mod lifecycle;
pub mod list;
pub mod memory;
pub mod mounts;
pub mod notify;
pub mod pause;
pub mod record;
pub mod spec;
pub mod state;
pub mod text;
pub mod update;
