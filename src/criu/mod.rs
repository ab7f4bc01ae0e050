//! The messages of CRIU's RPC (criu.org/RPC), by which CRIU checkpoints and restores processes for other programs.

pub mod message;
pub mod wire;
