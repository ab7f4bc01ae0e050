//! The status file of a container: `status` in its state directory, JSON.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::slice;

use miniserde::Serialize;
use miniserde::ser::{Fragment, Map};

use super::directory::Directory;
use super::identity::Identity;
use crate::cgroup::fs::freezer::is_frozen;
use crate::config::linux::{Linux, Namespace, NamespaceKind};
use crate::error::Result;
use crate::intelrdt;
use crate::json::Decoder;
use crate::launch::start_socket;
use crate::members;

/// The file's name.
const NAME: &CStr = c"status";

/// The content of the file.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub process: Identity,
    /// Absolute.
    pub bundle: String,
    /// Absolute.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// The UID of the user that created it.
    pub owner: u32,
    /// Path of the cgroup; `None` if it has none of its own.
    pub cgroup: Option<String>,
    /// Whether it also has a cgroup in the v1 hierarchy name=systemd, on a host with cgroup v2.
    pub named: bool,
    pub added: AddedNamespaces,
    /// The name of its systemd scope.
    pub scope: Option<String>,
    /// The D-Bus address of the systemd that created the scope.
    pub bus: Option<String>,
    /// Its resctrl groups.
    pub rdt: intelrdt::Made,
    /// Whether its configuration has poststart or poststop hooks.
    pub hooks: bool,
    /// Whether its configuration has hooks that run during `create`, which may query its state.
    pub early_hooks: bool,
    /// Copied from the configuration for `state`, so that this does not have to decode the whole configuration.
    pub oci_version: String,
    pub annotations: Vec<(String, String)>,
}

/// The namespaces that a container has although its configuration lacks them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedNamespaces {
    /// An unprivileged user has created it.
    pub user: bool,
    /// CRIU has restored it, with its clocks as they were.
    pub time: bool,
}

impl AddedNamespaces {
    /// Adds them to the configuration.
    pub fn add_to(self, linux: &mut Linux<'_>) {
        for (is_added, kind) in [(self.user, NamespaceKind::User), (self.time, NamespaceKind::Time)] {
            if is_added {
                linux.namespaces.push(Namespace { kind, path: None });
            }
        }
    }
}

/// The JSON form of [`Status`]. Members are named as crun's, where crun has them.
#[derive(Serialize)]
struct Written<'a> {
    pid: i32,
    #[serde(rename = "process-inode")]
    inode: u64,
    #[serde(rename = "process-start-time")]
    start_time: u64,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    owner: u32,
    #[serde(rename = "cgroup-path")]
    cgroup: Option<&'a str>,
    #[serde(rename = "cgroup-v1-named")]
    named: bool,
    #[serde(rename = "adds-user-namespace")]
    adds_user_namespace: bool,
    #[serde(rename = "adds-time-namespace")]
    adds_time_namespace: bool,
    scope: Option<&'a str>,
    #[serde(rename = "systemd-bus")]
    bus: Option<&'a str>,
    hooks: bool,
    #[serde(rename = "early-hooks")]
    early_hooks: bool,
    #[serde(rename = "resctrl-groups")]
    rdt: &'a [String],
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    annotations: Pairs<'a>,
}

/// A JSON object with its members in the order of the list.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn begin(&self) -> Fragment<'_> {
        Fragment::Map(Box::new(Entries(self.0.iter())))
    }
}

struct Entries<'a>(slice::Iter<'a, (String, String)>);

impl Map for Entries<'_> {
    fn next(&mut self) -> Option<(Cow<'_, str>, &dyn Serialize)> {
        self.0.next().map(|(name, value)| (Cow::from(name), value as &dyn Serialize))
    }
}

/// The `status` of a container (runtime.md, "State"), with `paused` in addition, as in other runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being created, or was when its creation was interrupted.
    Creating,
    /// Its init process waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its program runs, but its cgroup is frozen.
    Paused,
    /// Its init process has exited.
    Stopped,
}

impl State {
    /// The state's name in the output of `state`.
    pub fn name(self) -> &'static str {
        match self {
            State::Creating => "creating",
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Stopped => "stopped",
        }
    }
}

impl Status {
    /// Writes the status file, atomically.
    pub fn write(&self, directory: &Directory) -> Result<()> {
        let written = Written {
            pid: self.process.pid,
            inode: self.process.inode,
            start_time: self.process.start_time,
            bundle: &self.bundle,
            rootfs: &self.rootfs,
            created: &self.created,
            owner: self.owner,
            cgroup: self.cgroup.as_deref(),
            named: self.named,
            adds_user_namespace: self.added.user,
            adds_time_namespace: self.added.time,
            scope: self.scope.as_deref(),
            bus: self.bus.as_deref(),
            hooks: self.hooks,
            early_hooks: self.early_hooks,
            rdt: &self.rdt.0,
            oci_version: &self.oci_version,
            annotations: Pairs(&self.annotations),
        };
        directory.replace(NAME, miniserde::json::to_string(&written).as_bytes())
    }

    /// Reads the status file; `None` if it was not written yet.
    pub fn read(directory: &Directory) -> Result<Option<Self>> {
        let Some(mut text) = directory.read(NAME)? else { return Ok(None) };
        let mut status = Status::default();
        let mut decoder = Decoder::new("status", &mut text);
        let d = &mut decoder;
        members!(d, {
            "pid" => status.process.pid = d.integer(),
            "process-inode" => status.process.inode = d.integer(),
            "process-start-time" => status.process.start_time = d.integer(),
            "bundle" => status.bundle = d.string().into(),
            "rootfs" => status.rootfs = d.string().into(),
            "created" => status.created = d.string().into(),
            "owner" => status.owner = d.integer(),
            "resctrl-groups" => status.rdt.0 = d.list(|d| d.string().into()),
            "ociVersion" => status.oci_version = d.string().into(),
            "annotations" => {
                let list = d.map(|d, _| String::from(d.string())).into_iter();
                status.annotations = list.map(|(name, value)| (Self::text(name), value)).collect();
            },
            "hooks" => status.hooks = d.boolean(),
            "early-hooks" => status.early_hooks = d.boolean(),
            "cgroup-path" => status.cgroup = Some(d.string().into()),
            "cgroup-v1-named" => status.named = d.boolean(),
            "adds-user-namespace" => status.added.user = d.boolean(),
            "adds-time-namespace" => status.added.time = d.boolean(),
            "scope" => status.scope = Some(d.string().into()),
            "systemd-bus" => status.bus = Some(d.string().into()),
        });
        decoder.finish()?;
        Ok(Some(status))
    }

    /// The current state according to the status file; [`super::snapshot::of`] also takes the lock into account.
    /// Without a recorded root the state is `Creating`, even if the parent has died: the container cannot be joined or
    /// changed, only killed and deleted.
    pub fn state(&self, directory: &Directory) -> Result<State> {
        if self.process.pid == 0 {
            return Ok(State::Creating);
        }
        if self.process.open()?.is_none() {
            return Ok(State::Stopped);
        }
        if directory.root()?.is_none() {
            return Ok(State::Creating);
        }
        // Checked before the start socket: a process that joins a frozen container stops, also before `start`.
        if self.cgroup.as_deref().is_some_and(|path| is_frozen(path).unwrap_or(false)) {
            return Ok(State::Paused);
        }
        // `start` removes the start socket after it has connected. If `start` is killed between the two, the socket
        // remains, but no process listens. With `run` there is no start socket.
        match directory.has_start_socket() && start_socket::has_listener(directory.fd(), directory.path())? {
            true => Ok(State::Created),
            false => Ok(State::Running),
        }
    }

    /// Text for the status file: bytes that are not UTF-8, which JSON requires, are replaced.
    pub fn text(path: &CStr) -> String {
        String::from_utf8_lossy(path.to_bytes()).into_owned()
    }
}
