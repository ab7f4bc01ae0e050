//! OCI containers for a program that links this library: mote, the runtime, without a daemon and without a program that has to be
//! installed.
//!
//! ```no_run
//! use mote::{Bundle, CreateOptions, ExecOptions, Force, Process, Runtime, Signal};
//!
//! # fn main() -> mote::Result<()> {
//! let runtime = Runtime::new("/run/mine")?;
//! let container = runtime.create("id", &Bundle::open("/path/to/bundle")?, &CreateOptions::default())?;
//! container.start()?;
//! let process = container.exec(&Process::new(["ls", "/"]), &ExecOptions::default())?;
//! println!("{}", process.wait()?);
//! container.kill(Signal::TERM)?;
//! println!("{}", container.wait()?);
//! container.delete(Force::No)?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Runtime`] is a directory for the state of containers, and settings. It creates a [`Container`] from a [`Bundle`]: a
//! directory with a root filesystem and a configuration, as the OCI runtime specification defines it, or with a configuration in
//! memory:
//!
//! ```no_run
//! use mote::{Bundle, CreateOptions, Document, Runtime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::new("/run/mine")?;
//! let config = runtime.template(false)?.replace("\"terminal\": true", "\"terminal\": false");
//! let bundle = Bundle::open("/path/to/bundle")?.config(Document::Bytes(config.into()));
//! let mut options = CreateOptions::default();
//! let (mut output, writer) = std::io::pipe()?;
//! options.streams.stdout = Some(std::os::fd::OwnedFd::from(writer).into());
//! let container = runtime.run("id", &bundle, &options)?;
//! drop(options);
//! println!("{}", std::io::read_to_string(&mut output)?);
//! println!("{}", container.wait()?);
//! # Ok(())
//! # }
//! ```
//!
//! # The calling process is not changed
//!
//! Every operation is carried out by another process, which executes mote's program from a sealed memfd: so the signal mask and
//! handlers of the calling process, its working directory, umask, limits, memory and file descriptors stay as they are, and it
//! gets no child that wait(2) without `__WALL` or `__WCLONE` could find. The cost does not grow with its size. No
//! environment variable is read, nothing is printed, and there is no global state.
//!
//! What starts a container returns its warnings with [`Container::warnings`]; other operations return theirs. An [`Error`]
//! has a [`Kind`], an errno, and the field of the configuration that it is about.
//!
//! # Threads, and waiting
//!
//! All types are `Send` and `Sync`; any number of threads may call at once. Each operation also has a form that only begins it,
//! `begin_…`: the [`Pending`] operation has a file descriptor that becomes readable with the result, for poll(2) or a runtime
//! such as tokio. A container init and each [`Child`] have one for their end.
//!
//! # Features
//!
//! - `program`: the library contains the program, so [`Runtime::new`] exists. It is built for musl by the build script (`rustup
//!   target add x86_64-unknown-linux-musl`), or taken from the file that `MOTE_PROGRAM` names at build time. Without it, use
//!   [`Runtime::with_program`].
//! - `std`: conversions from paths of std, and its types of file descriptors.
//!
//! Without features the package is the command `mote`.
#![cfg_attr(not(feature = "program"), doc = "", doc = "[`Runtime::new`]: Runtime::with_program")]
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

/// What the command line and the tests use of the modules. Not part of the library's interface.
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
