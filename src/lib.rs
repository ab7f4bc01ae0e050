//! mote, an OCI container runtime, as a library: `no_std`, with an allocator and no C library.
//!
//! Who may use whom, downwards only (ARCHITECTURE.md has the drawing, tests/house.rs checks it):
//!
//! ```text
//! cli (the binary)
//! container                verbs on a container with a name, and its state directory
//! bundle  plan  launch     config.json read; decided; carried out
//! namespace cgroup rootfs process hooks seccomp  one room for each kind of kernel object
//! spec                     the words of runtime-spec
//! host  caller  sys  error  json  pass  netlink  dbus   facts, system calls, errors, the decoder
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod args;
pub mod bundle;
pub mod caller;
pub mod cgroup;
pub mod config;
pub mod container;
mod errno;
pub mod error;
pub mod executable;
pub mod hooks;
pub mod host;
pub mod intelrdt;
pub mod json;
pub mod launch;
pub mod namespace;
pub mod os;
pub mod plan;
pub mod process;
pub mod rootfs;
pub mod seccomp;
pub mod sys;
