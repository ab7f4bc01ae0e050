//! The command-line interface: global options, then a command with its options and operands in any order.
//!
//! Each command has its own file with its table of options; help, completions and manual pages are generated from
//! these tables. Commands and options have the names that crun and runc give them.

mod arguments;
mod checkpoint;
mod completion;
mod context;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod log;
mod mounts;
mod options;
mod output;
mod pattern;
mod pause;
mod ps;
mod restore;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod store;
mod update;

use alloc::format;
use alloc::string::String;
use core::ffi::CStr;

use mote::internal::caller;
use mote::internal::cgroup::manager::CgroupManager;
use mote::internal::cgroup::systemd::bus::Buses;
use mote::internal::engine::Engine;
use mote::internal::error::{Error, Kind, Result};
use mote::internal::operations::Settings;

use arguments::Arguments;
use completion::Tables;
use context::{Context, variable};
use log::Log;
use options::{Command, Matches, Opt, flag, value};

/// All commands, in the order in which help lists them.
static COMMANDS: &[&Command] = &[
    &checkpoint::COMMAND,
    &COMPLETION,
    &create::COMMAND,
    &delete::COMMAND,
    &events::COMMAND,
    &exec::COMMAND,
    &features::COMMAND,
    &kill::COMMAND,
    &list::COMMAND,
    &mounts::COMMAND,
    &pause::COMMAND,
    &ps::COMMAND,
    &restore::COMMAND,
    &resume::COMMAND,
    &run::COMMAND,
    &spec::COMMAND,
    &start::COMMAND,
    &state::COMMAND,
    &update::COMMAND,
];

/// `completion`, which prints what is in these tables.
static COMPLETION: Command = Command {
    run: |_, matches| {
        completion::run(matches, &Tables { commands: COMMANDS, global: &GLOBAL, words: &WORDS })
    },
    ..completion::COMMAND
};

/// Options before the command.
static GLOBAL: [Opt; 12] = [
    flag("debug", None, "set the log level to debug"),
    value(
        "log",
        None,
        "DEST",
        "log destination: a file, syslog:NAME or journald:NAME (default: standard error)",
    ),
    value("log-format", None, "text|json", "format of log messages (default: text)"),
    value("log-level", None, "error|warning|debug", "lowest severity that is logged (default: error)"),
    value("root", None, "DIR", "directory for the state of all containers (default: see FILES in mote(1))"),
    value("rootless", None, "VALUE", "accepted for compatibility with runc, and ignored"),
    flag("systemd-cgroup", None, "same as --cgroup-manager=systemd"),
    value(
        "cgroup-manager",
        None,
        "cgroupfs|systemd|delegated|disabled",
        "cgroup manager (default: cgroupfs)",
    ),
    flag("version", Some('v'), "print the version"),
    flag("help", Some('h'), "print this help"),
    flag("V", Some('V'), "print the version"),
    flag("usage", Some('?'), "print this help"),
];

/// Words accepted in place of a command, with their descriptions.
static WORDS: [(&str, &str); 2] = [("help", "print this help"), ("version", "print the version")];

/// Runs a command line and returns the exit code.
pub fn main(arguments: &[&'static CStr]) -> i32 {
    let mut log = Log::default();
    match caller::settle().and_then(|()| dispatch(arguments, &mut log)) {
        Ok(code) => {
            log.debug(|| format!("exit code {code}"));
            code
        }
        Err(error) => {
            log.error(&error);
            match error.kind() {
                Kind::Usage => 64,
                _ => 1,
            }
        }
    }
}

fn dispatch(arguments: &[&'static CStr], log: &mut Log) -> Result<i32> {
    // Counted before the log is opened, which takes the next free file descriptor.
    let passed = mote::internal::sys::fd::count_passed();
    let mut arguments = Arguments::new(arguments);
    let global = options::global(&mut arguments, &GLOBAL)?;
    if global.has("version") || global.has("V") {
        return output::print(&version(&store::root(&global)?.0));
    }
    let Some(name) = &global.command else {
        return match global.has("help") || global.has("usage") {
            true => output::print(&help()),
            false => Err(Error::new(Kind::Usage, format_args!("a command is missing; see mote --help"))),
        };
    };
    let options = [global.text("log")?, global.text("log-format")?, global.text("log-level")?];
    *log = Log::open(options, global.has("debug"))?;
    let (root, is_shared) = store::root(&global)?;
    let mut settings =
        Settings { root, is_shared, manager: requested_manager(&global)?, ..Settings::default() };
    if matches!(name.as_str(), "checkpoint" | "restore") {
        settings.search_path = checkpoint::search_path().into();
    }
    let context = Context {
        engine: Engine::new(settings),
        log: log.clone(),
        passed,
        notify_socket: variable("NOTIFY_SOCKET"),
        seccomp_receiver: variable("RUN_OCI_SECCOMP_RECEIVER"),
    };
    match name.as_str() {
        "help" => return output::print(&help()),
        "version" => return output::print(&version(context.store().path())),
        _ => {}
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Error::invalid(format_args!("unknown command \"{name}\"; see mote --help")));
    };
    let matches = options::command(&mut arguments, command)?;
    context.log.debug(|| format!("{name} {matches}; state in {}", context.store().path()));
    if matches.has("help") {
        return output::print(&command.help());
    }
    (command.run)(&context, &matches)
}

/// The cgroup manager that the global options request.
fn requested_manager(global: &Matches) -> Result<CgroupManager> {
    match global.text("cgroup-manager")? {
        _ if global.has("systemd-cgroup") => Ok(systemd()),
        None | Some("cgroupfs") => Ok(CgroupManager::Cgroupfs),
        Some("systemd") => Ok(systemd()),
        Some("delegated") => Ok(CgroupManager::Delegated),
        Some("disabled") => Ok(CgroupManager::Disabled),
        Some(other) => {
            let unknown = format_args!("--cgroup-manager: unknown manager \"{other}\"");
            Err(Error::new(Kind::Usage, unknown))
        }
    }
}

#[cold]
#[inline(never)]
fn systemd() -> CgroupManager {
    CgroupManager::Systemd(Buses {
        session: variable("DBUS_SESSION_BUS_ADDRESS"),
        runtime: variable("XDG_RUNTIME_DIR"),
        system: variable("DBUS_SYSTEM_BUS_ADDRESS"),
    })
}

/// The version text in the format that containerd and docker parse: `NAME version X`, `commit: Y`, `spec: Z`.
fn version(root: &str) -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("MOTE_COMMIT"));
    format!(
        "mote version {version}\ncommit: {commit}\nrundir: {root}\nspec: {}\n",
        mote::internal::config::version::CURRENT
    )
}

fn help() -> String {
    let mut text = String::from(
        "mote: an OCI container runtime\n\nUsage: mote [OPTION...] COMMAND [OPTION...] [OPERAND...]\n\nCommands:\n",
    );
    for (name, about) in COMMANDS.iter().map(|command| (command.name, command.about)).chain(WORDS) {
        text += &format!("  {name:<10} {about}\n");
    }
    text += "\nOptions:\n";
    text += &options::list(&GLOBAL);
    text += "\nRun `mote COMMAND --help` for the options of a command.\n";
    text
}
