//! `mote create`: makes a container and leaves it at its start gate.

use std::ffi::CString;

use mote::container::create::{Request, create};
use mote::error::{Error, Result};

use super::Context;
use super::options::{Command, Matches, Opt, flag, value};

/// `create`
pub static COMMAND: Command = Command {
    name: "create",
    operands: "ID",
    count: (1, 1),
    about: "create a container, for `start` to run",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 9] =
    [BUNDLE, CONFIG, PID_FILE, PIDFD_SOCKET, CONSOLE, PRESERVE, NO_PIVOT, NO_KEYRING, NO_SUBREAPER];

// The options that `run` has too.
pub const BUNDLE: Opt = value("bundle", Some('b'), "DIR", "the bundle (the working directory)");
pub const CONFIG: Opt = value("config", Some('f'), "FILE", "another file than the bundle's config.json");
pub const PID_FILE: Opt = value("pid-file", None, "FILE", "where to write the process's pid");
pub const PIDFD_SOCKET: Opt =
    value("pidfd-socket", None, "SOCKET", "a unix socket to send a pidfd of the process to");
pub const CONSOLE: Opt = value("console-socket", None, "SOCKET", "a unix socket to send the terminal to");
pub const PRESERVE: Opt = value("preserve-fds", None, "N", "how many descriptors from 3 on to pass on (0)");
pub const NO_PIVOT: Opt =
    flag("no-pivot", None, "use chroot, not pivot_root: for hosts that run from an initramfs");
pub const NO_KEYRING: Opt = flag("no-new-keyring", None, "keep the session keyring");
pub const NO_SUBREAPER: Opt = flag("no-subreaper", None, "in the foreground do not reap orphans");

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let given = Given::read(matches)?;
    let mut warnings = Vec::new();
    let created = create(&context.store, &given.request(context, matches), &mut warnings);
    given.warn(context, &warnings);
    created.map(|()| 0)
}

/// The options as they were given, owned.
pub struct Given {
    bundle: CString,
    config: Option<CString>,
    pid_file: Option<CString>,
    pidfd_socket: Option<CString>,
    preserve_fds: u32,
}

impl Given {
    /// Reads what `create` and `run` share.
    pub fn read(matches: &Matches) -> Result<Self> {
        if matches.has("console-socket") {
            return Err(Error::unsupported(format_args!(
                "--console-socket: terminals are not supported yet"
            )));
        }
        Ok(Given {
            bundle: matches.path("bundle")?.unwrap_or_else(|| c".".into()),
            config: matches.path("config")?,
            pid_file: matches.path("pid-file")?,
            pidfd_socket: matches.path("pidfd-socket")?,
            preserve_fds: matches.number("preserve-fds")?.unwrap_or(0),
        })
    }

    /// What the library is asked for.
    pub fn request<'a>(&'a self, context: &Context, matches: &'a Matches) -> Request<'a> {
        Request {
            id: matches.id(),
            bundle: &self.bundle,
            config: self.config.as_deref(),
            pid_file: self.pid_file.as_deref(),
            pidfd_socket: self.pidfd_socket.as_deref(),
            preserve_fds: self.preserve_fds,
            pivot: !matches.has("no-pivot"),
            new_keyring: !matches.has("no-new-keyring"),
            no_cgroup: context.no_cgroup,
        }
    }

    /// Says what was worth a word.
    pub fn warn(&self, context: &Context, warnings: &[Error]) {
        for warning in warnings {
            context.log.warning(warning);
        }
    }
}
