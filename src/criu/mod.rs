//! CRIU (criu.org), which checkpoints and restores processes for other programs: the program, its directories, and its RPC
//! (criu.org/RPC).

pub(crate) mod connection;
pub(crate) mod images;
pub mod message;
pub(crate) mod program;
pub(crate) mod service;
pub mod wire;
