//! `mote exec`: runs an additional process in a container.

use alloc::string::String;
use core::ffi::CStr;

use mote::internal::error::{Error, Kind, Result, Show};
use mote::internal::operations::{ConsoleSocket, Document, Exec, ExecOptions, Passed, Process, Text};
use mote::internal::process::caps;

use super::context::Context;
use super::create::{CONSOLE, PID_FILE, PIDFD_SOCKET, PRESERVE, given, preserved_fds};
use super::options::{Command, Matches, Opt, flag, value};

/// `exec`
pub static COMMAND: Command = Command {
    name: "exec",
    operands: "ID [PROGRAM [ARGUMENT...]]",
    count: (1, usize::MAX),
    rest: Some(2),
    about: "run a process in an existing container",
    options: &OPTIONS,
    run,
};

static OPTIONS: [Opt; 18] = [
    value(
        "process",
        Some('p'),
        "FILE",
        "JSON file that describes the process, in the format of process in config.json",
    ),
    flag("detach", Some('d'), "do not wait for the process to exit"),
    PID_FILE,
    PIDFD_SOCKET,
    CONSOLE,
    flag("tty", Some('t'), "allocate a terminal (PTY)"),
    value("user", Some('u'), "UID[:GID]", "user and group IDs of the process"),
    value("additional-gids", Some('g'), "GID", "supplementary group ID; may be repeated"),
    value("cwd", None, "DIR", "working directory in the container"),
    value("env", Some('e'), "NAME=VALUE", "set an environment variable; may be repeated"),
    value("cap", Some('c'), "CAPABILITY", "add a capability; may be repeated"),
    flag("no-new-privs", None, "set no_new_privs for the process"),
    PRESERVE,
    value("process-label", None, "LABEL", "SELinux label of the process"),
    value("apparmor", None, "PROFILE", "AppArmor profile of the process"),
    value("cgroup", None, "[CONTROLLERS:]PATH", "cgroup to join, relative to the container's cgroup"),
    flag("ignore-paused", None, "allow a paused container; the process runs once it is resumed"),
    flag("no-subreaper", None, "accepted for compatibility with runc, and ignored"),
];

fn run(context: &Context, matches: &Matches) -> Result<i32> {
    match run_in(context, matches) {
        // Exit codes as in a shell; 255 for mote's own errors, which are not an exit status of the program.
        Err(error) if error.kind() != Kind::Usage => {
            context.log.error(&error);
            Ok(match error.kind() {
                Kind::NoProgram => 127,
                Kind::Program => 126,
                _ => 255,
            })
        }
        other => other,
    }
}

fn run_in(context: &Context, matches: &Matches) -> Result<i32> {
    let mut options = ExecOptions::default();
    options.fds = Passed::Inherited(preserved_fds(context, matches, 0)?);
    options.pid_file = given(matches, "pid-file");
    options.pidfd_socket = given(matches, "pidfd-socket");
    options.console_socket = given(matches, "console-socket").map(ConsoleSocket::Path);
    options.terminal = matches.has("tty");
    options.cgroup = matches.texts("cgroup")?.into_iter().map(String::from).collect();
    options.ignore_paused = matches.has("ignore-paused");
    options.seccomp_receiver = context.seccomp_receiver.clone().map(Into::into);
    let (process, foreground) = (process(matches)?, !matches.has("detach"));
    context.start(&Exec { id: matches.id().into(), process, options, foreground, awaited: false })
}

fn process(matches: &Matches) -> Result<Process> {
    let texts = |list: &[&CStr]| list.iter().map(|text| Text::from(*text)).collect();
    let (env, names) = (matches.all("env"), matches.all("cap"));
    let mut process = Process::new(matches.operands.iter().skip(1).copied());
    process.env = texts(&env);
    process.cwd = matches.path("cwd").map(Into::into);
    process.no_new_privileges = matches.has("no-new-privs");
    process.apparmor_profile = matches.path("apparmor").map(Into::into);
    process.selinux_label = matches.path("process-label").map(Into::into);
    process.document = given(matches, "process").map(Document::File);
    if process.args.is_empty() && process.document.is_none() {
        return Err(Error::new(Kind::Usage, format_args!("exec: a program or --process is required")));
    }
    if let Some(bad) = env.iter().find(|variable| !variable.to_bytes().contains(&b'=')) {
        return Err(Error::new(Kind::Usage, format_args!("--env {}: not in the form NAME=VALUE", Show(bad))));
    }
    if let Some(text) = matches.text("user")? {
        process.user = Some(user(text)?);
    }
    for gid in matches.all("additional-gids") {
        process.additional_gids.push(id("additional-gids", gid.to_str().unwrap_or_default())?);
    }
    for name in names {
        // In config.json an unknown capability is a warning (config.md); on the command line it is an error.
        let known = name.to_str().ok().filter(|name| caps::number(name).is_some());
        let unknown = || Error::new(Kind::Usage, format_args!("--cap {}: unknown capability", Show(name)));
        process.capabilities.push(known.ok_or_else(unknown)?.into());
    }
    Ok(process)
}

/// Parses `UID[:GID]`. Both are numbers: the engine resolves names.
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id("user", uid)?, Some(id("user", gid)?))),
        None => Ok((id("user", text)?, None)),
    }
}

fn id(option: &str, text: &str) -> Result<u32> {
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    number.ok_or_else(|| Error::new(Kind::Usage, format_args!("--{option}: invalid ID \"{text}\"")))
}
