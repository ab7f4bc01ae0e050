//! The state directories of containers, and what is saved there.

pub mod directory;
pub mod id;
pub mod identity;
pub mod lock;
pub mod saved_config;
pub mod snapshot;
pub mod status;
