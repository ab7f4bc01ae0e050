//! The documents in JSON that mote writes for others.

pub mod features;
pub mod pretty;
pub mod state;
pub mod template;
