//! `mote create`: creates a container whose init waits for `mote start`.

use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::{AbsolutePath, Bundle, ConsoleSocket, Create, CreateOptions, Passed};
use rustix::process::getpid;

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};
use crate::start::variable;

/// `create`
pub static COMMAND: Command = Command {
    name: "create",
    operands: "ID",
    count: (1, 1),
    rest: None,
    about: "create a container without starting its program; see `start`",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 9] =
    [BUNDLE, CONFIG, PID_FILE, PIDFD_SOCKET, CONSOLE, PRESERVE, NO_PIVOT, NO_KEYRING, NO_SUBREAPER];

// Options shared with `run`.
pub const BUNDLE: Opt = value("bundle", Some('b'), "DIR", "path to the bundle (default: current directory)");
pub const CONFIG: Opt =
    value("config", Some('f'), "FILE", "configuration file (default: config.json in the bundle)");
pub const PID_FILE: Opt = value("pid-file", None, "FILE", "file to write the PID of the process to");
pub const PIDFD_SOCKET: Opt =
    value("pidfd-socket", None, "SOCKET", "AF_UNIX socket that receives a pidfd of the process");
pub const CONSOLE: Opt =
    value("console-socket", None, "SOCKET", "AF_UNIX socket that receives the PTY master");
pub const PRESERVE: Opt =
    value("preserve-fds", None, "N", "number of file descriptors to pass on, from 3 on (default: 0)");
pub const NO_PIVOT: Opt = flag("no-pivot", None, "use chroot instead of pivot_root");
pub const NO_KEYRING: Opt = flag("no-new-keyring", None, "keep the caller's session keyring");
pub const NO_SUBREAPER: Opt = flag("no-subreaper", None, "do not become a child subreaper in the foreground");

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    context.start(&operation(context, matches)?)
}

/// LISTEN_FDS, the number of file descriptors passed by socket activation (sd_listen_fds(3)); 0 unless LISTEN_PID is
/// this process.
fn listen_fds() -> u32 {
    let number = |name| variable(name)?.to_str().ok()?.parse().ok();
    match number("LISTEN_PID") == u32::try_from(getpid().as_raw_pid()).ok() {
        true => number("LISTEN_FDS").unwrap_or(0),
        false => 0,
    }
}

/// The operation of `create`, which `run` extends.
pub fn operation(context: &Context, matches: &Matches) -> Result<Create> {
    let bundle = matches.path("bundle").unwrap_or(c".");
    Ok(Create {
        id: matches.id().into(),
        bundle: Bundle::of_command_line(bundle, matches.path("config")),
        options: create_options(context, matches)?,
        run: false,
        foreground: None,
        awaited: false,
    })
}

/// The options that `create`, `run` and `restore` have in common.
pub fn create_options(context: &Context, matches: &Matches) -> Result<CreateOptions> {
    let listen_fds = listen_fds();
    let mut options = CreateOptions::default();
    options.fds = Passed::Inherited(preserved_fds(context, matches, listen_fds)?.saturating_add(listen_fds));
    options.listen_fds = listen_fds;
    options.pid_file = given(matches, "pid-file");
    options.pidfd_socket = given(matches, "pidfd-socket");
    options.console_socket = given(matches, "console-socket").map(ConsoleSocket::Path);
    options.notify_socket = context.notify_socket.clone().map(Into::into);
    options.seccomp_receiver = context.seccomp_receiver.clone().map(Into::into);
    options.no_pivot = matches.has("no-pivot");
    options.no_new_keyring = matches.has("no-new-keyring");
    Ok(options)
}

/// The value of an option that is a path, which may be relative to the working directory.
pub fn given(matches: &Matches, option: &str) -> Option<AbsolutePath> {
    matches.path(option).map(Into::into)
}

/// The value of `--preserve-fds`. Fails unless that many file descriptors, and `more` for LISTEN_FDS, are open from 3 on:
/// otherwise the program would inherit a file descriptor that mote opens itself, which can expose the host's filesystem to
/// the container (CVE-2024-21626).
pub fn preserved_fds(context: &Context, matches: &Matches, more: u32) -> Result<u32> {
    let requested: u32 = matches.number("preserve-fds")?.unwrap_or(0);
    match requested.saturating_add(more) <= context.passed {
        true => Ok(requested),
        false => {
            let option = if more == 0 { "--preserve-fds" } else { "LISTEN_FDS" };
            let (count, missing) = (if more == 0 { requested } else { more }, 3 + context.passed);
            let why = format_args!("{option} {count}: file descriptor {missing} is not open");
            Err(Error::new(Kind::Invalid, why))
        }
    }
}
