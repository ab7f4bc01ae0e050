//! A container, and the operations on it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::events::Events;
use super::exit_status::ExitStatus;
use super::link::Link;
use super::pending::{Pending, operation};
use super::process::{Child, started};
use super::stats::Stats;

use crate::container::state::Report;
use crate::error::{Error, Kind, Result};
use crate::operations::{
    self as request, AbsolutePath, ChangeMounts, Checkpoint, CheckpointOptions, Criu, Delete, Document, Exec,
    ExecOptions, GetState, Operation, Pause, Process, Processes, Start, Text, Update,
};

/// A container. Dropping it does not end or delete the container; [`Runtime::container`](crate::Runtime::container) finds it again.
#[derive(Debug)]
pub struct Container {
    link: Link,
    id: String,
    init: Option<Child>,
    warnings: Vec<Error>,
}

/// What [`Container::delete`] does with a container that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// It fails with [`Kind::State`](crate::Kind::State).
    #[default]
    No,
    /// It kills the container's processes. A container that does not exist is not an error.
    Yes,
}

/// A signal (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub i32);

/// The signals that end processes.
impl Signal {
    /// SIGHUP
    pub const HUP: Signal = Signal(1);
    /// SIGINT
    pub const INT: Signal = Signal(2);
    /// SIGQUIT
    pub const QUIT: Signal = Signal(3);
    /// SIGKILL
    pub const KILL: Signal = Signal(9);
    /// SIGTERM
    pub const TERM: Signal = Signal(15);
}

/// Settings without effect, and failures that did not end the operation.
type Warnings = Vec<Error>;

impl Container {
    pub(super) fn new(link: Link, id: String, init: Option<Child>, warnings: Warnings) -> Self {
        Container { link, id, init, warnings }
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The PID of the container init in the pid namespace of the caller; `None` if it had ended when the container was
    /// found.
    pub fn pid(&self) -> Option<i32> {
        self.init.as_ref().map(Child::pid)
    }

    /// The container init, to wait for; `None` if it had ended when the container was found.
    pub fn init(&self) -> Option<&Child> {
        self.init.as_ref()
    }

    /// The warnings of its creation: settings without effect.
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// Waits for the end of the container init, and returns its exit status.
    ///
    /// Errors: see [`Child::wait`]; [`Kind::State`](crate::Kind::State) if it had ended when the container was found.
    pub fn wait(&self) -> Result<ExitStatus> {
        self.running_init()?.wait()
    }

    /// The exit status of the container init, if it has ended. Does not wait.
    ///
    /// Errors: as [`Container::wait`].
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        self.running_init()?.try_wait()
    }

    fn running_init(&self) -> Result<&Child> {
        self.init.as_ref().ok_or_else(|| {
            Error::new(Kind::State, format_args!("container not running: \"{}\" is stopped", self.id))
        })
    }

    operation! {
        /// Starts the program of a created container (runtime.md, "Start"). Returns warnings.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if the container is not created; `Hook`; `NoProgram` or `Program`.
        start, begin_start(&self) -> Warnings {
            self.begin_start_with(&StartOptions::default())
        }
    }

    operation! {
        /// As [`Container::start`], with options.
        start_with, begin_start_with(&self, options: &StartOptions) -> Warnings {
            let StartOptions { notify_socket, seccomp_receiver } = options.clone();
            self.begin(&Start { id: self.text(), notify_socket, seccomp_receiver })
        }
    }

    operation! {
        /// Runs a process in the container. It returns when the program runs.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if the container does not run or is paused; `NoProgram` or `Program` if
        /// the program cannot be executed; `Invalid`.
        exec, begin_exec(&self, process: &Process, options: &ExecOptions) -> Child {
            let awaited = !self.link.keeps_status;
            let (process, options) = (process.clone(), options.clone());
            let operation = Exec { id: self.text(), process, options, foreground: false, awaited };
            self.link.begin(&operation, move |exchange| started(exchange, awaited, &mut Vec::new()))
        }
    }

    operation! {
        /// Sends a signal to the container init (runtime.md, "Kill").
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run.
        kill, begin_kill(&self, signal: Signal) -> Warnings {
            self.begin(&request::Kill { id: self.text(), signal: signal.0, all: false })
        }
    }

    operation! {
        /// Sends a signal to all processes of the container.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if there are none.
        kill_all, begin_kill_all(&self, signal: Signal) -> Warnings {
            self.begin(&request::Kill { id: self.text(), signal: signal.0, all: true })
        }
    }

    operation! {
        /// Deletes the container (runtime.md, "Delete"). Returns warnings: poststop hooks that failed.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) without force if it runs; `NotFound` without force.
        delete, begin_delete(&self, force: Force) -> Warnings {
            self.begin(&Delete { id: self.text(), force: force == Force::Yes })
        }
    }

    operation! {
        /// The state of the container (runtime.md, "State").
        ///
        /// Errors: [`Kind::NotFound`](crate::Kind::NotFound) if it was deleted.
        state, begin_state(&self) -> Report {
            self.link.begin(&GetState { id: self.text() }, |mut exchange| exchange.result(&mut Vec::new()))
        }
    }

    operation! {
        /// The PIDs of its processes in the pid namespace of the caller, sorted.
        processes, begin_processes(&self) -> Vec<i32> {
            self.link.begin(&Processes { id: self.text() }, |mut exchange| exchange.result(&mut Vec::new()))
        }
    }

    operation! {
        /// Suspends all its processes. Returns when they are suspended.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run or has no cgroup.
        pause, begin_pause(&self) -> Warnings {
            self.begin(&Pause { id: self.text(), resume: false })
        }
    }

    operation! {
        /// Lets the processes of a paused container continue.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it is not paused.
        resume, begin_resume(&self) -> Warnings {
            self.begin(&Pause { id: self.text(), resume: true })
        }
    }

    operation! {
        /// Changes resource limits: those in `resources`, an object as `linux.resources` of config.json.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run, or has no cgroup for a limit; `Invalid`.
        update, begin_update(&self, resources: &Document) -> Warnings {
            self.begin_update_with_schemata(resources, &[])
        }
    }

    operation! {
        /// As [`Container::update`], and writes lines to `schemata` of the container's resctrl group (`linux.intelRdt`).
        update_with_schemata, begin_update_with_schemata(&self, resources: &Document, schemata: &[&str]) -> Warnings {
            let schemata = schemata.iter().map(|line| String::from(*line)).collect();
            self.begin(&Update { id: self.text(), resources: resources.clone(), schemata })
        }
    }

    operation! {
        /// Adds mounts, an array as `mounts` of config.json: all or none.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run or has no mount namespace; `Invalid`; `System`.
        add_mounts, begin_add_mounts(&self, mounts: &Document) -> Warnings {
            self.begin(&ChangeMounts { id: self.text(), mounts: mounts.clone(), remove: false })
        }
    }

    operation! {
        /// Unmounts the destinations of `mounts`, an array as `mounts` of config.json.
        ///
        /// Errors: as [`Container::add_mounts`].
        remove_mounts, begin_remove_mounts(&self, mounts: &Document) -> Warnings {
            self.begin(&ChangeMounts { id: self.text(), mounts: mounts.clone(), remove: true })
        }
    }

    operation! {
        /// The resource statistics of its cgroup.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run or has no cgroup.
        stats, begin_stats(&self) -> Stats {
            let operation = request::Events { id: self.text(), interval: None };
            self.link.begin(&operation, |exchange| Events::new(exchange).statistics())
        }
    }

    /// Its events: statistics at this interval, at least 1 ms, and OOM kills, until the container init ends.
    ///
    /// Errors: as [`Container::stats`]; they may also come with the first event.
    pub fn events(&self, interval: Duration) -> Result<Events> {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Ok(Events::new(
            self.link
                .begin_exchange(&request::Events { id: self.text(), interval: Some(interval.max(1)) })?,
        ))
    }

    operation! {
        /// Dumps the container to image files, by CRIU, and deletes it, unless it is to continue.
        ///
        /// Errors: [`Kind::State`](crate::Kind::State) if it does not run; `Unsupported` if CRIU is not found in
        /// [`Runtime::search_path`](crate::Runtime::search_path), too old, or lacks an option; `System`. The container continues then.
        checkpoint, begin_checkpoint(&self, options: &CheckpointOptions) -> Warnings {
            self.begin(&Checkpoint {
                id: self.text(),
                criu: Criu::from(options),
                pre_dump: options.pre_dump,
                parent: options.parent_path.clone(),
                page_server: options.page_server.clone(),
                status: options.status.clone(),
            })
        }
    }

    fn text(&self) -> Text {
        self.id.as_str().into()
    }

    /// Begins an operation without a result other than warnings.
    fn begin<O: Operation<Output = ()>>(&self, operation: &O) -> Result<Pending<Warnings>> {
        self.link.begin(operation, |mut exchange| {
            let mut warnings = Vec::new();
            exchange.result::<()>(&mut warnings)?;
            Ok(warnings)
        })
    }
}

/// Options of [`Container::start_with`]; see those of the same name in [`CreateOptions`](crate::CreateOptions).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StartOptions {
    /// The socket that receives the readiness notification of the container.
    pub notify_socket: Option<Text>,
    /// The socket that receives the seccomp listener fd.
    pub seccomp_receiver: Option<AbsolutePath>,
}
