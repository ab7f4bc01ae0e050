//! `mote exec`: runs an additional process in a container.

use std::ffi::CString;

use mote::container::exec::{self, ProcessSource, Request};
use mote::error::{Error, Kind, Result, Show};
use mote::process::caps;

use super::context::Context;
use super::create::{CONSOLE, PID_FILE, PIDFD_SOCKET, PRESERVE, pid_receivers, preserved_fds};
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
    let command = command(matches)?;
    let cgroup: Vec<&str> = matches.all("cgroup").iter().filter_map(|text| text.to_str().ok()).collect();
    let request = Request {
        id: matches.id(),
        process: matches.path("process").map_or(ProcessSource::Command(&command), ProcessSource::File),
        detach: matches.has("detach"),
        pid_receivers: pid_receivers(matches),
        terminal: matches.has("tty"),
        console_socket: matches.path("console-socket"),
        preserve_fds: preserved_fds(context, matches, 0)?,
        cgroup: &cgroup,
        ignore_paused: matches.has("ignore-paused"),
        seccomp_receiver: context.seccomp_receiver.as_deref(),
    };
    context.warning(|warnings| exec::exec(&context.store, &request, warnings))
}

fn command(matches: &Matches) -> Result<exec::Command<'_>> {
    let mut command = exec::Command {
        args: matches.operands.iter().skip(1).map(CString::as_c_str).collect(),
        env: matches.all("env"),
        cwd: matches.path("cwd"),
        no_new_privileges: matches.has("no-new-privs"),
        apparmor_profile: matches.path("apparmor"),
        selinux_label: matches.path("process-label"),
        ..exec::Command::default()
    };
    if command.args.is_empty() && matches.path("process").is_none() {
        return Err(Error::new(Kind::Usage, format_args!("exec: a program or --process is required")));
    }
    if let Some(bad) = command.env.iter().find(|variable| !variable.to_bytes().contains(&b'=')) {
        return Err(Error::new(Kind::Usage, format_args!("--env {}: not in the form NAME=VALUE", Show(bad))));
    }
    if let Some(text) = matches.text("user")? {
        command.user = Some(user(text)?);
    }
    for gid in matches.all("additional-gids") {
        command.additional_gids.push(id("additional-gids", gid.to_str().unwrap_or_default())?);
    }
    for name in matches.all("cap") {
        // In config.json an unknown capability is a warning (config.md); on the command line it is an error.
        let known = name.to_str().ok().filter(|name| caps::number(name).is_some());
        let unknown = || Error::new(Kind::Usage, format_args!("--cap {}: unknown capability", Show(name)));
        command.capabilities.push(known.ok_or_else(unknown)?);
    }
    Ok(command)
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
