//! `mote create`: creates a container, whose process then waits for `mote start`.

use mote::container::create::{Request, create};
use mote::container::pid_receivers::PidReceivers;
use mote::error::{Error, Kind, Result};

use super::context::Context;
use super::options::{Command, Matches, Opt, flag, value};

/// `create`
pub static COMMAND: Command = Command {
    name: "create",
    operands: "ID",
    count: (1, 1),
    rest: None,
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
pub const NO_PIVOT: Opt = flag("no-pivot", None, "leave the host's tree by chroot, not pivot_root");
pub const NO_KEYRING: Opt = flag("no-new-keyring", None, "keep the session keyring");
pub const NO_SUBREAPER: Opt = flag("no-subreaper", None, "in the foreground do not reap orphans");

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    let request = request(context, matches)?;
    context.warning(|warnings| create(&context.store, &request, warnings)).map(|()| 0)
}

/// How many descriptors the service manager has passed to this process, and not to one that has passed the environment on
/// (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    match number("LISTEN_PID") == Some(std::process::id()) {
        true => number("LISTEN_FDS").unwrap_or(0),
        false => 0,
    }
}

/// What `create` and `run` ask the library for.
pub fn request<'a>(context: &'a Context, matches: &'a Matches) -> Result<Request<'a>> {
    let listen_fds = listen_fds();
    Ok(Request {
        id: matches.id(),
        bundle: matches.path("bundle").unwrap_or(c"."),
        config: matches.path("config"),
        pid_receivers: pid_receivers(matches),
        console_socket: matches.path("console-socket"),
        preserve_fds: preserved_fds(context, matches, listen_fds)?,
        listen_fds,
        notify_socket: context.notify_socket.as_deref(),
        seccomp_receiver: context.seccomp_receiver.as_deref(),
        pivot: !matches.has("no-pivot"),
        new_keyring: !matches.has("no-new-keyring"),
        manager: &context.manager,
    })
}

/// Who is told of the process.
pub fn pid_receivers(matches: &Matches) -> PidReceivers<'_> {
    PidReceivers { pid_file: matches.path("pid-file"), pidfd_socket: matches.path("pidfd-socket") }
}

/// How many descriptors from 3 on a process is to get: `--preserve-fds`, and `more`. All must be there: what is not would
/// be whatever mote opens, which leads to the host (CVE-2024-21626).
pub fn preserved_fds(context: &Context, matches: &Matches, more: u32) -> Result<u32> {
    let requested: u32 = matches.number("preserve-fds")?.unwrap_or(0);
    match requested.saturating_add(more) <= context.passed {
        true => Ok(requested),
        false => {
            let option = if more == 0 { "--preserve-fds" } else { "LISTEN_FDS" };
            let (count, missing) = (if more == 0 { requested } else { more }, 3 + context.passed);
            let why = format_args!("{option} {count}: descriptor {missing} is not open");
            Err(Error::new(Kind::Invalid, why))
        }
    }
}
