//! mote, an OCI container runtime, as a library: `no_std`, with an allocator, without the C library.
//!
//! The modules from top to bottom; imports point down only (see ARCHITECTURE.md; tests/house.rs checks it):
//!
//! ```text
//! cli (the binary)
//! container                                      the operations on containers; store/: state directories
//! args  bundle  plan  launch                     command-line values; reading config.json; the plan; the processes
//! namespace cgroup rootfs process hooks seccomp  one module for each kind of kernel object: its plan and system calls
//! config                                         the fields of runtime-spec, decoded
//! os                                             files, procfs, sockets, netlink, D-Bus
//! host  caller  executable  json  error  sys     facts about the host, the JSON decoder, errors, system calls
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
