//! What the kernel counts for a cgroup, in either layout and in both together (the kernel's admin-guide/cgroup-v2.rst
//! and admin-guide/cgroup-v1).
//!
//! Which layout a number comes from shows in its file's name, so nothing asks for the layout: a file is looked for in
//! its controller's v1 hierarchy, then in the v2 one. What is missing is 0 or left out: a controller may be absent,
//! not enabled, or older than the file.

mod block;
mod cpu;
pub(crate) mod files;
mod memory;
pub mod oom;

pub use block::Transfer;
pub use cpu::Cpu;
pub use files::Files;
pub use memory::{Amount, Memory};
