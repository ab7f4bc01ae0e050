//! The state directories of containers and their content.

pub mod directory;
pub mod id;
pub mod identity;
pub mod lock;
pub mod saved_config;
pub mod snapshot;
pub mod status;
