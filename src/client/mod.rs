//! The library's interface: containers for a program that links it. Each operation is carried out by mote's own program,
//! which runs from a memfd, so that the calling process is not changed.

mod container;
mod events;
mod exchange;
mod exit_status;
mod link;
mod pending;
mod process;
mod runtime;
mod stats;

pub use container::{Container, Force, Signal, StartOptions};
pub use events::{Event, Events};
pub use exit_status::ExitStatus;
pub use pending::Pending;
pub use process::Child;
pub use runtime::Runtime;
pub use stats::Stats;
