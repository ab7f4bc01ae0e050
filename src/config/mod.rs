//! The words of runtime-spec 1.3 as data: what config.json said, checked value by value, nothing decided.
//!
//! A struct here has the fields of its section of the specification, under the specification's names in
//! snake case; strings are borrowed from the decoded file. Rules between fields are the rooms' business
//! (their `plan`), rules inside one value are checked here, where line and column are known.

pub mod annotation;
pub mod device;
pub mod hooks;
pub mod linux;
pub mod process;
pub mod resources;
pub mod seccomp;
pub mod state;
pub mod top_level;
pub mod values;
pub mod version;

pub use linux::Linux;
pub use process::Process;
pub use top_level::{Config, Mount, Root};
