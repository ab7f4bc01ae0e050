//! The options of operations.

use alloc::string::String;
use alloc::vec::Vec;

use super::text::{AbsolutePath, Document, Text};
use super::wire::{Decoder, Encoder, Passed, Wire, record};
use crate::cgroup::manager::CgroupManager;
use crate::cgroup::systemd::bus::Buses;
use crate::error::Result;
use crate::os::descriptor::Descriptor;

record! {
    /// The standard streams of a process, and of the hooks that run on its behalf.
    #[derive(Clone, Debug, Default)]
    pub struct Streams {
        /// Standard input; by default that of the caller.
        pub stdin: Option<Descriptor>,
        /// Standard output; by default that of the caller.
        pub stdout: Option<Descriptor>,
        /// Standard error; by default that of the caller.
        pub stderr: Option<Descriptor>,
    }
}

/// A console socket, which receives the PTY master of a process with a terminal (`process.terminal`), by SCM_RIGHTS.
#[derive(Clone, Debug)]
pub enum ConsoleSocket {
    /// The path of a listening AF_UNIX stream socket.
    Path(AbsolutePath),
    /// A connected AF_UNIX stream socket.
    Connected(Descriptor),
}

impl Wire for ConsoleSocket {
    fn put(&self, to: &mut Encoder) {
        match self {
            ConsoleSocket::Path(path) => {
                to.number(0);
                path.put(to);
            }
            ConsoleSocket::Connected(socket) => {
                to.number(1);
                socket.put(to);
            }
        }
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        match from.number()? {
            0 => AbsolutePath::take(from).map(ConsoleSocket::Path),
            _ => Descriptor::take(from).map(ConsoleSocket::Connected),
        }
    }
}

impl ConsoleSocket {
    pub(crate) fn to_request(&self) -> crate::container::console::Socket<'_> {
        use crate::container::console::Socket;
        match self {
            ConsoleSocket::Path(path) => Socket::Path(path.get()),
            ConsoleSocket::Connected(socket) => Socket::Connected(rustix::fd::AsFd::as_fd(socket)),
        }
    }
}

record! {
    /// Options of `create`, `run` and `restore`.
    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct CreateOptions {
        /// The file descriptors from 3 on that the container inherits.
        pub fds: Passed,
        /// How many of them, the last ones, are passed as by socket activation (sd_listen_fds(3)).
        pub listen_fds: u32,
        /// The standard streams.
        pub streams: Streams,
        /// A file to which the PID of the container init is written, in decimal digits.
        pub pid_file: Option<AbsolutePath>,
        /// The path of an AF_UNIX stream socket that receives a pidfd of the container init.
        pub pidfd_socket: Option<AbsolutePath>,
        /// The console socket; required if and only if `process.terminal` is set.
        pub console_socket: Option<ConsoleSocket>,
        /// The path, or `@NAME`, of the socket that receives the readiness notification of the container (sd_notify(3)). `run`
        /// and `start` then return when the container is ready. Pass it to both `create` and `start`.
        pub notify_socket: Option<Text>,
        /// The AF_UNIX socket that receives the seccomp listener fd if `linux.seccomp.listenerPath` is not set.
        pub seccomp_receiver: Option<AbsolutePath>,
        /// Change the root by chroot(2) instead of pivot_root(2).
        pub no_pivot: bool,
        /// Keep the session keyring of the caller (session-keyring(7)).
        pub no_new_keyring: bool,
    }
}

record! {
    /// Options of `exec`.
    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct ExecOptions {
        /// The file descriptors from 3 on that the process inherits.
        pub fds: Passed,
        /// The standard streams.
        pub streams: Streams,
        /// A file to which the PID of the process is written, in decimal digits.
        pub pid_file: Option<AbsolutePath>,
        /// The path of an AF_UNIX stream socket that receives a pidfd of the process.
        pub pidfd_socket: Option<AbsolutePath>,
        /// The console socket; required if and only if the process has a terminal.
        pub console_socket: Option<ConsoleSocket>,
        /// Allocate a terminal, also if `terminal` of the process is not set.
        pub terminal: bool,
        /// Cgroups below the container's that the process joins: `PATH`, or `CONTROLLER,...:PATH` on cgroup v1.
        pub cgroup: Vec<String>,
        /// Permit a paused container, in which the process runs when it is resumed.
        pub ignore_paused: bool,
        /// The AF_UNIX socket that receives the seccomp listener fd if `linux.seccomp.listenerPath` is not set.
        pub seccomp_receiver: Option<AbsolutePath>,
    }
}

record! {
    /// A process to run in a container: `process` of the container's configuration with these changes.
    #[derive(Clone, Debug, Default)]
    #[non_exhaustive]
    pub struct Process {
        /// The program and its arguments.
        pub args: Vec<Text>,
        /// Variables, `NAME=VALUE`, that are added to the environment; one of the same name is replaced.
        pub env: Vec<Text>,
        /// The working directory.
        pub cwd: Option<Text>,
        /// UID, and GID if that changes too.
        pub user: Option<(u32, Option<u32>)>,
        /// Supplementary groups that are added.
        pub additional_gids: Vec<u32>,
        /// Capabilities that are added, such as `CAP_NET_ADMIN`.
        pub capabilities: Vec<String>,
        /// Set no_new_privs, also if the container does not.
        pub no_new_privileges: bool,
        /// The AppArmor profile.
        pub apparmor_profile: Option<Text>,
        /// The SELinux label.
        pub selinux_label: Option<Text>,
        /// Instead of all the above: an object in JSON, as `process` of config.json.
        pub document: Option<Document>,
    }
}

impl Process {
    /// A program with arguments.
    pub fn new<T: Into<Text>>(args: impl IntoIterator<Item = T>) -> Self {
        Process { args: args.into_iter().map(Into::into).collect(), ..Process::default() }
    }

    /// A process described by a document in JSON, as `process` of config.json.
    pub fn from_document(document: Document) -> Self {
        Process { document: Some(document), ..Process::default() }
    }
}

record! {
    /// A bundle (bundle.md): a directory with a configuration and a root filesystem.
    #[derive(Clone, Debug, Default)]
    pub struct Bundle {
        pub(crate) path: AbsolutePath,
        pub(crate) config: Option<Document>,
    }
}

impl Bundle {
    /// The bundle in a directory, whose absolute path this is.
    ///
    /// Errors: [`Kind::Invalid`](crate::error::Kind::Invalid) if the path is not absolute; those of openat(2).
    pub fn open(path: impl Into<AbsolutePath>) -> Result<Self> {
        use crate::error::{On, Show};
        use rustix::fs::{Mode, OFlags, open};
        let path = path.into();
        path.check("bundle")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(path.get(), flags, Mode::empty()).on(format_args!("bundle {}", Show(path.get())))?;
        Ok(Bundle { path, config: None })
    }

    /// Uses this configuration instead of the file config.json in the bundle.
    #[must_use]
    pub fn config(mut self, config: Document) -> Self {
        self.config = Some(config);
        self
    }

    /// A bundle at a path that may be relative to the working directory.
    #[doc(hidden)]
    pub fn of_command_line(path: &core::ffi::CStr, config: Option<&core::ffi::CStr>) -> Self {
        Bundle { path: path.into(), config: config.map(|path| Document::File(path.into())) }
    }
}

impl Wire for CgroupManager {
    fn put(&self, to: &mut Encoder) {
        let number = match self {
            CgroupManager::Cgroupfs => 0,
            CgroupManager::Delegated => 1,
            CgroupManager::Systemd(_) => 2,
            CgroupManager::Disabled => 3,
        };
        to.number(number);
        if let CgroupManager::Systemd(Buses { session, runtime, system }) = self {
            for text in [session, runtime, system] {
                text.clone().map(Text::from).put(to);
            }
        }
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self> {
        let text = |from: &mut Decoder<'_>| -> Result<_> {
            Ok(<Option<Text> as Wire>::take(from)?.map(|text| text.get().into()))
        };
        Ok(match from.number()? {
            0 => CgroupManager::Cgroupfs,
            1 => CgroupManager::Delegated,
            2 => CgroupManager::Systemd(Buses {
                session: text(from)?,
                runtime: text(from)?,
                system: text(from)?,
            }),
            _ => CgroupManager::Disabled,
        })
    }
}
