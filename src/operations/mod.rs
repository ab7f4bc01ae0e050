//! The operations on containers as values: what the command line carries out in its own process, and a program that links
//! the library has carried out by another process. Both request the same.

mod criu;
pub(crate) mod frame;
mod options;
pub(crate) mod report;
mod state;
mod text;
pub(crate) mod wire;

use alloc::string::String;
use alloc::vec::Vec;

use wire::{Wire, record};

use crate::cgroup::manager::CgroupManager;
use crate::container::outcome::Outcome;
use crate::container::state::Report;
use crate::os::descriptor::Descriptor;

pub use criu::{CgroupsMode, CheckpointOptions, Criu, NetworkLock, RestoreOptions};
pub use options::{Bundle, ConsoleSocket, CreateOptions, ExecOptions, Process, Streams};
pub use text::{AbsolutePath, Document, Text};
pub use wire::Passed;

/// The version of mote.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

record! {
    /// What all operations need.
    #[derive(Clone, Debug, Default)]
    pub struct Settings {
        /// The directory for the state of all containers.
        pub root: String,
        /// Whether other users can write to the directory above it.
        pub is_shared: bool,
        /// The cgroup manager.
        pub manager: CgroupManager,
        /// The directories, as in PATH, in which `criu` is looked up.
        pub search_path: Text,
    }
}

/// An operation.
pub trait Operation: Wire {
    /// Its number in a message.
    const NUMBER: u32;
    /// Its result.
    type Output: Wire;

    /// Whether the exit status of the process that it starts is reported when that has ended.
    #[doc(hidden)]
    fn is_awaited(&self) -> bool {
        false
    }

    /// The pidfd of the process that it has started.
    #[doc(hidden)]
    fn started(_: &Self::Output) -> Option<&Descriptor> {
        None
    }

    /// What removes the container that it has created.
    #[doc(hidden)]
    fn reversal(&self) -> Option<Delete> {
        None
    }

    /// The standard streams that it runs with.
    #[doc(hidden)]
    fn streams(&mut self) -> Option<&mut Streams> {
        None
    }
}

record! {
    /// Waiting for a process that was started, in the foreground: its terminal is connected to that of mote, and signals are
    /// forwarded to it.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Foreground {
        /// Keep the state directory and the cgroup when the container init has ended.
        pub keep: bool,
        /// Be the subreaper of the container's orphaned processes (PR_SET_CHILD_SUBREAPER).
        pub subreaper: bool,
    }
}

/// Defines operations: number, structure and result; `starts` or `creates` for those that start a process.
macro_rules! operations {
    ($($(#[$about:meta])* $number:literal $name:ident -> $output:ty
        { $($(#[$note:meta])* $field:ident: $type:ty),* $(,)? } $($starts:ident)?)*) => { $(
        record! {
            $(#[$about])*
            #[derive(Debug)]
            pub struct $name { $($(#[$note])* pub $field: $type),* }
        }

        impl Operation for $name {
            const NUMBER: u32 = $number;
            type Output = $output;
            $($starts! {})?
        }
    )* };
}

/// The members of [`Operation`] for an operation that creates a container.
macro_rules! creates {
    () => {
        fn reversal(&self) -> Option<Delete> {
            Some(Delete { id: self.id.clone(), force: true })
        }

        starts! {}
    };
}

/// The members of [`Operation`] for an operation that starts a process.
macro_rules! starts {
    () => {
        fn is_awaited(&self) -> bool {
            self.awaited
        }

        fn started(outcome: &Outcome) -> Option<&Descriptor> {
            match outcome {
                Outcome::Running(_, pidfd) => Some(pidfd),
                Outcome::Ended(_) => None,
            }
        }

        fn streams(&mut self) -> Option<&mut Streams> {
            Some(&mut self.options.streams)
        }
    };
}

operations! {
    /// The version of the program.
    0 GetVersion -> String {}
    /// The supported features (features.md), as an object in JSON.
    16 GetFeatures -> String {}
    /// A template of config.json.
    17 GetTemplate -> String {
        /// For an unprivileged user.
        rootless: bool,
    }
    /// Creates a container (runtime.md, "Create"); `run` also starts it.
    1 Create -> Outcome {
        /// The ID of the new container.
        id: Text,
        /// The bundle.
        bundle: Bundle,
        /// The options.
        options: CreateOptions,
        /// Start the container too (`run`).
        run: bool,
        /// Wait for the container to end (`run`).
        foreground: Option<Foreground>,
        /// Report the exit status when the container init has ended.
        awaited: bool,
    } creates
    /// Starts the program of a created container.
    2 Start -> () {
        /// The ID of the container.
        id: Text,
        /// See [`CreateOptions`].
        notify_socket: Option<Text>,
        /// See [`CreateOptions`].
        seccomp_receiver: Option<AbsolutePath>,
    }
    /// Runs a process in a container.
    3 Exec -> Outcome {
        /// The ID of the container.
        id: Text,
        /// The process.
        process: Process,
        /// The options.
        options: ExecOptions,
        /// Wait for the process to end.
        foreground: bool,
        /// Report the exit status when the process has ended.
        awaited: bool,
    } starts
    /// Sends a signal.
    4 Kill -> () {
        /// The ID of the container.
        id: Text,
        /// The number of the signal.
        signal: i32,
        /// To all processes of the container, instead of the container init.
        all: bool,
    }
    /// Deletes a container.
    5 Delete -> () {
        /// The ID of the container.
        id: Text,
        /// Kill the container first.
        force: bool,
    }
    /// The state of a container.
    6 GetState -> Report {
        /// The ID of the container.
        id: Text,
    }
    /// The states of all containers.
    7 List -> Vec<Report> {}
    /// The PIDs of the processes in a container.
    8 Processes -> Vec<i32> {
        /// The ID of the container.
        id: Text,
    }
    /// Pauses a container, or resumes it.
    9 Pause -> () {
        /// The ID of the container.
        id: Text,
        /// Resume it.
        resume: bool,
    }
    /// Changes resource limits.
    10 Update -> () {
        /// The ID of the container.
        id: Text,
        /// An object as `linux.resources` of config.json.
        resources: Document,
        /// Lines for the file `schemata` of its resctrl group.
        schemata: Vec<String>,
    }
    /// Adds mounts to a container, or removes them.
    11 ChangeMounts -> () {
        /// The ID of the container.
        id: Text,
        /// An array as `mounts` of config.json.
        mounts: Document,
        /// Remove them.
        remove: bool,
    }
    /// The statistics of a container, or all its events, as lines of JSON.
    12 Events -> () {
        /// The ID of the container.
        id: Text,
        /// The interval in milliseconds between statistics; without, they are reported once.
        interval: Option<u64>,
    }
    /// Dumps a container by CRIU.
    13 Checkpoint -> () {
        /// The ID of the container.
        id: Text,
        /// The options of CRIU.
        criu: Criu,
        /// Only the memory is dumped.
        pre_dump: bool,
        /// The directory of a preceding pre-dump, relative to that of the images.
        parent: Option<Text>,
        /// The address and port of a page server.
        page_server: Option<(String, u16)>,
        /// Receives a NUL byte when pages can be requested.
        status: Option<Descriptor>,
    }
    /// Creates a container from the images of a dump.
    14 Restore -> Outcome {
        /// The ID of the new container.
        id: Text,
        /// The bundle.
        bundle: Bundle,
        /// The options of the container.
        options: CreateOptions,
        /// The options of CRIU.
        criu: Criu,
        /// Wait for the container to end.
        foreground: Option<Foreground>,
        /// Report the exit status when the container init has ended.
        awaited: bool,
    } creates
    /// The init process of a container: its PID and a pidfd, unless it has ended.
    15 Find -> Option<(i32, Descriptor)> {
        /// The ID of the container.
        id: Text,
    }
}
