//! mote, an OCI container runtime, as a library: `no_std`, with an allocator, without the C library.
//!
//! A program that links it calls the functions of [`container`], one module for each operation, with a
//! [`Store`](container::store::directory::Store), and distinguishes errors by their [`Kind`](error::Kind). [`plan`]
//! checks a configuration without effects, as [`config`] decodes it. The other public modules contain what the command
//! line and the tests use.
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
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod args;
mod bundle;
pub mod caller;
pub mod cgroup;
pub mod config;
pub mod container;
pub mod criu;
mod errno;
pub mod error;
mod executable;
pub mod hooks;
pub mod host;
mod intelrdt;
pub mod json;
mod launch;
mod namespace;
pub mod os;
pub mod plan;
pub mod process;
pub mod rootfs;
pub mod seccomp;
pub mod sys;
