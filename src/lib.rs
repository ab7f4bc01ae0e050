//! mote, an OCI container runtime, as a library: `no_std`, with an allocator and no C library.
//!
//! The rooms and which may use which, downwards only (ARCHITECTURE.md has the picture, tests/house.rs checks it):
//!
//! ```text
//! cli (the binary)
//! container                                      verbs on a container with a name; store/: its state directory
//! args  bundle  plan  launch                     command-line values; config.json read; planned; carried out
//! namespace cgroup rootfs process hooks seccomp  one room for each kind of kernel object
//! config                                         the fields of runtime-spec, decoded
//! os                                             files, procfs, sockets, netlink, D-Bus
//! host  caller  executable  json  error  sys     facts, the decoder, errors, system calls
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
