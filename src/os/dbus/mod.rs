//! A D-Bus client (D-Bus Specification), as far as method calls to one service need it: addresses, messages, and a
//! connection to a bus or directly to a service. All waits have a timeout, and received data is not trusted.

mod address;
mod connection;
pub(crate) mod message;
pub mod read;

pub(crate) use address::{Address, Server, parse};
pub(crate) use connection::{Connection, ErrorReply};
