//! The fields of runtime-spec 1.3 as data: config.json, decoded and with each value checked.
//!
//! Each struct has the fields of its section of the specification, with the same names in snake case. Strings are
//! borrowed from the decoded file. Rules for a single value are checked here, where line and column are known; rules
//! between fields are checked by the `plan` of the directory that implements them.

pub(crate) mod annotation;
pub mod device;
pub(crate) mod hooks;
pub mod linux;
pub mod process;
pub mod resources;
pub mod seccomp;
pub(crate) mod state;
pub(crate) mod top_level;
pub(crate) mod values;
pub mod version;

pub use linux::Linux;
pub use process::Process;
pub use top_level::{Config, Mount, Root};
