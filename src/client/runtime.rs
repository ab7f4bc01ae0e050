//! The runtime: a directory for the state of containers, and settings.

use alloc::string::String;
use alloc::vec::Vec;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};

use super::container::Container;
use super::link::Link;
use super::pending::{Pending, operation};
use super::process::{Child, received};
use crate::cgroup::manager::CgroupManager;
use crate::container::outcome::Outcome;
use crate::container::state::Report;
use crate::error::{Error, On, Result, Show};
use crate::operations::{
    AbsolutePath, Bundle, Create, CreateOptions, Criu, Find, GetFeatures, GetTemplate, List, Operation,
    Restore, RestoreOptions, Settings, Text,
};

/// What creates containers and finds those that exist: a directory for their state, and settings.
///
/// It can be cloned and used in several threads at once. Operations on the same container exclude each other where they
/// have to, also those of other programs and of the command `mote`.
#[derive(Clone, Debug)]
pub struct Runtime(Link);

impl Runtime {
    /// A runtime whose containers have their state below `root`, an absolute path; the directory is created when it is needed.
    /// The command `mote --root` with the same directory operates on the same containers.
    ///
    /// Errors: the kernel denies the execution of a memfd (sysctl `vm.memfd_noexec`).
    #[cfg(feature = "program")]
    pub fn new(root: impl Into<AbsolutePath>) -> Result<Self> {
        Self::start(&root.into(), crate::program::open()?)
    }

    /// As `new`, but the operations are carried out by the program `mote` at this path, of the same version.
    ///
    /// Errors: it cannot be executed, or is of another version.
    pub fn with_program(root: impl Into<AbsolutePath>, program: impl Into<AbsolutePath>) -> Result<Self> {
        let program = program.into();
        program.check("program")?;
        let file = open(program.get(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Self::start(&root.into(), file.on(format_args!("openat {}", Show(program.get())))?)
    }

    fn start(root: &AbsolutePath, program: OwnedFd) -> Result<Self> {
        root.check("root")?;
        let text = root.get().to_str();
        let root = text.map_err(|_| Error::invalid(format_args!("{}: not UTF-8", Show(root.get()))))?;
        let settings = Settings { root: root.trim_end_matches('/').into(), ..Settings::default() };
        Link::new(program, settings).map(Runtime)
    }

    /// Sets the cgroup manager; by default it is [`CgroupManager::Cgroupfs`].
    #[must_use]
    pub fn cgroup_manager(mut self, manager: CgroupManager) -> Self {
        self.0.settings.manager = manager;
        self
    }

    /// Sets the directories in which `criu` is looked up, separated by colons as in PATH. By default there are none.
    #[must_use]
    pub fn search_path(mut self, path: impl Into<Text>) -> Self {
        self.0.settings.search_path = path.into();
        self
    }

    operation! {
        /// Creates a container (runtime.md, "Create"), whose init process then waits for [`Container::start`].
        ///
        /// Errors: [`Kind::Exists`](crate::Kind::Exists) if the ID is in use; `Invalid` or `Unsupported` for a setting;
        /// `NoProgram` or `Program` if the program cannot be executed; `Hook`; `System`. Nothing remains of the container then.
        create, begin_create(&self, id: &str, bundle: &Bundle, options: &CreateOptions) -> Container {
            self.begin_creation(id, bundle, options, false)
        }
    }

    operation! {
        /// Creates a container and starts its program.
        ///
        /// Errors: as [`Runtime::create`].
        run, begin_run(&self, id: &str, bundle: &Bundle, options: &CreateOptions) -> Container {
            self.begin_creation(id, bundle, options, true)
        }
    }

    operation! {
        /// Creates a container from the image files of [`Container::checkpoint`], by CRIU.
        ///
        /// Errors: as [`Runtime::create`]; [`Kind::Unsupported`](crate::Kind::Unsupported) if CRIU is not found in
        /// [`Runtime::search_path`], too old, or lacks an option.
        restore, begin_restore(&self, id: &str, bundle: &Bundle, options: &CreateOptions, images: &RestoreOptions)
            -> Container {
            self.begin_start(id, &Restore {
                id: id.into(),
                bundle: bundle.clone(),
                options: options.clone(),
                criu: Criu::from(images),
                foreground: None,
                awaited: !self.0.keeps_status,
            })
        }
    }

    operation! {
        /// The container with this ID, whoever has created it.
        ///
        /// Errors: [`Kind::NotFound`](crate::Kind::NotFound) if there is none.
        container, begin_container(&self, id: &str) -> Container {
            let (link, own, keeps) = (self.0.clone(), String::from(id), self.0.keeps_status);
            self.0.begin(&Find { id: id.into() }, move |mut exchange| {
                let init = exchange.result::<Option<_>>(&mut Vec::new())?;
                let init = init.map(|(pid, pidfd)| Child::new(pid, pidfd, None, keeps));
                Ok(Container::new(link, own, init, Vec::new()))
            })
        }
    }

    operation! {
        /// The states of all containers, sorted by ID.
        list, begin_list(&self) -> Vec<Report> {
            self.0.begin(&List {}, |mut exchange| exchange.result(&mut Vec::new()))
        }
    }

    operation! {
        /// The supported features (features.md), as an object in JSON.
        features, begin_features(&self) -> String {
            self.0.begin(&GetFeatures {}, |mut exchange| exchange.result(&mut Vec::new()))
        }
    }

    operation! {
        /// A template of config.json: a shell in new namespaces; `rootless` for an unprivileged user.
        template, begin_template(&self, rootless: bool) -> String {
            self.0.begin(&GetTemplate { rootless }, |mut exchange| exchange.result(&mut Vec::new()))
        }
    }

    /// A runtime as on a kernel before linux 6.15, which does not keep exit statuses. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn without_kept_status(mut self) -> Self {
        self.0.keeps_status = false;
        self
    }

    fn begin_creation(
        &self,
        id: &str,
        bundle: &Bundle,
        options: &CreateOptions,
        run: bool,
    ) -> Result<Pending<Container>> {
        let (bundle, options) = (bundle.clone(), options.clone());
        let awaited = !self.0.keeps_status;
        self.begin_start(id, &Create { id: id.into(), bundle, options, run, foreground: None, awaited })
    }

    fn begin_start<O: Operation<Output = Outcome>>(
        &self,
        id: &str,
        operation: &O,
    ) -> Result<Pending<Container>> {
        let (link, id) = (self.0.clone(), String::from(id));
        let is_awaited = operation.is_awaited();
        let reversal = operation.reversal();
        self.0.begin(operation, move |mut exchange| {
            let mut warnings = Vec::new();
            let received = received(&mut exchange, &mut warnings);
            // Otherwise the program has removed what it has created.
            if let Some(delete) = reversal.filter(|_| exchange.is_killed) {
                let deleted = link.begin_exchange(&delete);
                let _ = deleted.and_then(|mut exchange| exchange.result::<()>(&mut Vec::new()));
            }
            let (pid, pidfd) = received?;
            let init = Child::new(pid, pidfd, is_awaited.then_some(exchange), !is_awaited);
            Ok(Container::new(link, id, Some(init), warnings))
        })
    }
}
