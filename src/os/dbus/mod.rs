//! D-Bus, as far as calls to one service need it (the D-Bus Specification): addresses, messages as bytes, and a line
//! to a bus, or straight to a service. Every wait has an end, and nothing that comes is trusted.

mod address;
mod connection;
pub mod message;
pub mod read;

pub use address::{Address, parse};
pub use connection::{Connection, ErrorReply};
