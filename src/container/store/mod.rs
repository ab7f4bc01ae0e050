//! The state directories of containers and their content.

pub mod directory;
pub(crate) mod id;
pub(crate) mod identity;
pub(crate) mod lock;
pub(crate) mod saved_config;
pub(crate) mod snapshot;
pub(crate) mod status;
