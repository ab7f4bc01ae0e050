//! Carries out operations in this process, which is mote's own: it changes signal masks, and other attributes that the
//! whole process has.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ffi::CStr;
use core::time::Duration;

use rustix::fd::BorrowedFd;

use crate::container::checkpoint;
use crate::container::create::{self, create};
use crate::container::delete::{self, delete};
use crate::container::events::events;
use crate::container::exec::{self, ProcessSource};
use crate::container::kill::kill;
use crate::container::mounts::{self, Change};
use crate::container::outcome::Outcome;
use crate::container::pause::{pause, resume};
use crate::container::pid_receivers::PidReceivers;
use crate::container::ps::processes;
use crate::container::restore;
use crate::container::run::{self, run};
use crate::container::start::start;
use crate::container::state::{Report, report};
use crate::container::store::directory::Store;
use crate::container::update::{self, update};
use crate::container::{find, list};
use crate::document::features::features;
use crate::document::template::template;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::operations::{self as operation, AbsolutePath, CreateOptions, Operation, Settings, Text};
use crate::os::descriptor::Descriptor;

/// What carries out operations.
pub struct Engine {
    store: Store,
    settings: Settings,
}

/// What an operation reports while it goes on.
pub struct Reports<'a> {
    /// Settings without effect, and failures that do not end the operation.
    pub warnings: Vec<Error>,
    /// Gets lines of JSON (`events`).
    pub events: &'a mut dyn FnMut(&str) -> Result<()>,
    /// The pipe or socket that the lines are written to: the operation ends when its reader is gone.
    pub output: Option<BorrowedFd<'a>>,
}

/// An operation that an [`Engine`] carries out.
pub trait Run: Operation {
    /// Carries out the operation.
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<Self::Output>;
}

impl Engine {
    /// An engine with these settings.
    pub fn new(settings: Settings) -> Self {
        let root = settings.root.clone();
        let store = if settings.is_shared { Store::in_shared_directory(root) } else { Store::new(root) };
        Engine { store, settings }
    }

    /// The directory for the state of all containers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Carries out an operation. See the functions of [`crate::container`] for the errors.
    pub fn perform<O: Run>(&self, operation: &O, reports: &mut Reports<'_>) -> Result<O::Output> {
        operation.run(self, reports)
    }

    /// The request of `create`, `run` and `restore`.
    fn create_request<'a>(
        &'a self,
        id: &'a Text,
        bundle: &'a operation::Bundle,
        options: &'a CreateOptions,
    ) -> Result<create::Request<'a>> {
        let fds = options.fds.count();
        let preserve_fds = fds.checked_sub(options.listen_fds).ok_or_else(|| {
            Error::invalid(format_args!("listen_fds: {}, but only {fds} are passed", options.listen_fds))
        })?;
        Ok(create::Request {
            id: id.get(),
            bundle: bundle.path.get(),
            config: bundle.config.as_ref().map(operation::Document::source),
            pid_receivers: pid_receivers(&options.pid_file, &options.pidfd_socket),
            console_socket: options.console_socket.as_ref().map(operation::ConsoleSocket::to_request),
            preserve_fds,
            listen_fds: options.listen_fds,
            notify_socket: options.notify_socket.as_ref().map(Text::get),
            seccomp_receiver: path(&options.seccomp_receiver),
            pivot: !options.no_pivot,
            new_keyring: !options.no_new_keyring,
            manager: &self.settings.manager,
        })
    }
}

fn path(path: &Option<AbsolutePath>) -> Option<&CStr> {
    path.as_ref().map(AbsolutePath::get)
}

fn pid_receivers<'a>(file: &'a Option<AbsolutePath>, socket: &'a Option<AbsolutePath>) -> PidReceivers<'a> {
    PidReceivers { pid_file: path(file), pidfd_socket: path(socket) }
}

fn foreground(given: Option<operation::Foreground>) -> Option<run::Foreground> {
    given.map(|operation::Foreground { keep, subreaper }| run::Foreground { keep, subreaper })
}

impl Run for operation::GetVersion {
    fn run(&self, _: &Engine, _: &mut Reports<'_>) -> Result<String> {
        Ok(operation::VERSION.into())
    }
}

impl Run for operation::GetFeatures {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<String> {
        Ok(features(engine.settings.search_path.get()))
    }
}

impl Run for operation::GetTemplate {
    fn run(&self, _: &Engine, _: &mut Reports<'_>) -> Result<String> {
        Ok(template(&Host::read()?, self.rootless))
    }
}

impl Run for operation::Create {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<Outcome> {
        let request = engine.create_request(&self.id, &self.bundle, &self.options)?;
        match self.run {
            true => run(&engine.store, &request, foreground(self.foreground), &mut reports.warnings),
            false => create(&engine.store, &request, &mut reports.warnings),
        }
    }
}

impl Run for operation::Start {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<()> {
        let (notify, receiver) = (self.notify_socket.as_ref().map(Text::get), path(&self.seccomp_receiver));
        start(&engine.store, self.id.get(), notify, receiver, &mut reports.warnings)
    }
}

impl Run for operation::Exec {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<Outcome> {
        let operation::Process { args, env, cwd, apparmor_profile, selinux_label, .. } = &self.process;
        let command = exec::Command {
            args: args.iter().map(Text::get).collect(),
            env: env.iter().map(Text::get).collect(),
            cwd: cwd.as_ref().map(Text::get),
            user: self.process.user,
            additional_gids: self.process.additional_gids.clone(),
            capabilities: self.process.capabilities.iter().map(|name| name.as_str()).collect(),
            no_new_privileges: self.process.no_new_privileges,
            apparmor_profile: apparmor_profile.as_ref().map(Text::get),
            selinux_label: selinux_label.as_ref().map(Text::get),
        };
        let cgroup: Vec<&str> = self.options.cgroup.iter().map(|path| path.as_str()).collect();
        let document = self.process.document.as_ref().map(operation::Document::source);
        let request = exec::Request {
            id: self.id.get(),
            process: document.map_or(ProcessSource::Command(&command), ProcessSource::Document),
            detach: !self.foreground,
            pid_receivers: pid_receivers(&self.options.pid_file, &self.options.pidfd_socket),
            terminal: self.options.terminal,
            console_socket: self.options.console_socket.as_ref().map(operation::ConsoleSocket::to_request),
            preserve_fds: self.options.fds.count(),
            cgroup: &cgroup,
            ignore_paused: self.options.ignore_paused,
            seccomp_receiver: path(&self.options.seccomp_receiver),
        };
        exec::exec(&engine.store, &request, &mut reports.warnings)
    }
}

impl Run for operation::Kill {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<()> {
        kill(&engine.store, self.id.get(), self.signal, self.all)
    }
}

impl Run for operation::Delete {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<()> {
        let force = if self.force { delete::Force::Yes } else { delete::Force::No };
        delete(&engine.store, self.id.get(), force, &mut reports.warnings)
    }
}

impl Run for operation::GetState {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<Report> {
        report(&engine.store, self.id.get())
    }
}

impl Run for operation::List {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<Vec<Report>> {
        list::list(&engine.store)
    }
}

impl Run for operation::Processes {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<Vec<i32>> {
        processes(&engine.store, self.id.get())
    }
}

impl Run for operation::Pause {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<()> {
        match self.resume {
            true => resume(&engine.store, self.id.get()),
            false => pause(&engine.store, self.id.get()),
        }
    }
}

impl Run for operation::Update {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<()> {
        let schemata: Vec<&str> = self.schemata.iter().map(|line| line.as_str()).collect();
        let resources = self.resources.source();
        update(&engine.store, update::Request { id: self.id.get(), resources, schemata: &schemata })
    }
}

impl Run for operation::ChangeMounts {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<()> {
        let change = if self.remove { Change::Remove } else { Change::Add };
        mounts::change(&engine.store, self.id.get(), self.mounts.source(), change)
    }
}

impl Run for operation::Events {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<()> {
        let interval = self.interval.map(Duration::from_millis);
        events(&engine.store, self.id.get(), interval, reports.output, reports.events)
    }
}

impl Run for operation::Checkpoint {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<()> {
        let server = self.page_server.as_ref();
        let request = checkpoint::Request {
            id: self.id.get(),
            criu: self.criu.to_request(&engine.settings.search_path),
            pre_dump: self.pre_dump,
            parent: self.parent.as_ref().map(Text::get),
            page_server: server.map(|(address, port)| (address.as_bytes(), *port)),
            status: Cell::new(self.status.clone()),
        };
        checkpoint::checkpoint(&engine.store, &request, &mut reports.warnings)
    }
}

impl Run for operation::Restore {
    fn run(&self, engine: &Engine, reports: &mut Reports<'_>) -> Result<Outcome> {
        let request = restore::Request {
            create: engine.create_request(&self.id, &self.bundle, &self.options)?,
            criu: self.criu.to_request(&engine.settings.search_path),
        };
        restore::restore(&engine.store, &request, foreground(self.foreground), &mut reports.warnings)
    }
}

impl Run for operation::Find {
    fn run(&self, engine: &Engine, _: &mut Reports<'_>) -> Result<Option<(i32, Descriptor)>> {
        find::init(&engine.store, self.id.get())
    }
}
