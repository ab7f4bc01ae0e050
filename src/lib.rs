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
#[cfg(any(test, feature = "std"))]
extern crate std;

mod args;
mod bundle;
mod caller;
mod cgroup;
mod client;
mod config;
mod container;
mod criu;
mod document;
mod engine;
mod errno;
mod error;
mod executable;
mod hooks;
mod host;
mod intelrdt;
mod json;
mod launch;
mod namespace;
mod operations;
mod os;
mod plan;
mod process;
#[cfg(feature = "program")]
mod program;
mod rootfs;
mod seccomp;
mod serve;
mod sys;

pub use cgroup::manager::CgroupManager;
pub use cgroup::systemd::bus::Buses;
pub use client::{
    Child, Container, Event, Events, ExitStatus, Force, Pending, Runtime, Signal, StartOptions, Stats,
};
pub use container::state::{Report as State, State as Status};
pub use error::{Error, Kind, Result};
pub use operations::{
    AbsolutePath, Bundle, CgroupsMode, CheckpointOptions, ConsoleSocket, CreateOptions, Document,
    ExecOptions, NetworkLock, Passed, Process, RestoreOptions, Streams, Text,
};
pub use os::descriptor::Descriptor;

/// What the command line, and the tests, use of the modules. Not part of the library's interface.
#[doc(hidden)]
pub mod internal {
    macro_rules! modules {
        ($($name:ident)*) => { $(
            pub mod $name {
                pub use crate::$name::*;
            }
        )* };
    }
    modules! {
        args caller cgroup config container criu document engine error hooks host json operations os plan process rootfs seccomp serve sys
    }
}
